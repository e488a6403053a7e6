"""The same seed gives the same run, every method the same data, order and noise; neutral settings change nothing."""

import pytest
import torch
from small import BATCH, EPOCHS, LATENT, STEPS, differing, equalizer, everything, probabilities, trainer
from torch import Tensor

from lambda_vae.equalization import VarianceEqualizer
from lambda_vae.model import Trace
from lambda_vae.objectives import ELBO, BetaELBO, Objective, Terms
from lambda_vae.training import Constant, EpochRow, LinearWarmUp, Trainer


class Recording:
    """An objective that remembers what it was given."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.seen: list[tuple[Tensor, Tensor]] = []
        self.weights: list[float] = []

    def __call__(self, trace: Trace, kl_weight: float | Tensor = 1.0) -> Terms:
        self.seen.append((trace.x, trace.eps))
        self.weights.append(float(kl_weight))
        return self.objective(trace, kl_weight)


def run(**settings: object) -> dict[str, Tensor]:
    trained = trainer(**settings)  # type: ignore[arg-type]
    trained.fit()
    return everything(trained)


def test_same_seed_is_bit_identical() -> None:
    first, second = (run(exponents=equalizer()) for _ in range(2))
    assert differing(first, second) == []
    assert "model.posterior.head.weight" in first
    assert "optimizer.0.exp_avg" in first
    assert "equalizer.running_std" in first


def test_another_seed_is_another_run() -> None:
    names = differing(run(epochs=1), run(epochs=1, seed=1))
    assert "model.posterior.head.weight" in names
    assert "generator" in names


def test_every_method_sees_the_same_data_order_and_noise() -> None:
    objectives = [Recording(ELBO()), Recording(BetaELBO(4.0)), Recording(ELBO())]
    for objective, exponents in zip(objectives, (None, None, equalizer()), strict=True):
        run(objective=objective, exponents=exponents, epochs=3)
    plain, *others = objectives
    assert len(plain.seen) == 3 * STEPS
    for other in others:
        for (x, eps), (other_x, other_eps) in zip(plain.seen, other.seen, strict=True):
            assert torch.equal(x, other_x)
            assert torch.equal(eps, other_eps)
    assert not torch.equal(plain.seen[0][0], plain.seen[STEPS][0])


def test_an_epoch_visits_each_example_at_most_once_and_leaves_another_rest_each_time() -> None:
    visited: list[Tensor] = []

    def view(x: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
        visited.append(rows)
        return x

    trainer(view=view, epochs=2).fit()
    epochs = [torch.cat(visited[:STEPS]), torch.cat(visited[STEPS:])]
    for rows in epochs:
        assert len(rows.unique()) == STEPS * BATCH
        assert rows.max() < len(probabilities())
    assert set(epochs[0].tolist()) != set(epochs[1].tolist())


def test_infinite_delta_trains_the_plain_vae_bit_for_bit() -> None:
    plain = run(epochs=2)
    neutral = run(epochs=2, exponents=VarianceEqualizer(LATENT, float("inf"), refresh_every=1))
    assert torch.equal(neutral["equalizer.exponent"], torch.ones(LATENT))
    assert (neutral["equalizer.running_std"] != 1).all()
    assert [name for name in differing(plain, neutral) if not name.startswith("equalizer.")] == []


def test_finite_delta_does_change_the_training() -> None:
    names = differing(run(epochs=2), run(epochs=2, exponents=VarianceEqualizer(LATENT, 1.05, refresh_every=1)))
    assert "model.posterior.head.weight" in names
    assert "history.dimensions.exponent" in names


def test_beta_one_trains_the_plain_vae_bit_for_bit() -> None:
    assert differing(run(epochs=2), run(epochs=2, objective=BetaELBO(1.0))) == []
    assert differing(run(epochs=2), run(epochs=2, objective=BetaELBO(2.0))) != []


def test_warm_up_over_no_epochs_is_the_constant() -> None:
    assert differing(run(epochs=2, schedule=Constant()), run(epochs=2, schedule=LinearWarmUp(0))) == []
    assert differing(run(epochs=2), run(epochs=2, schedule=LinearWarmUp(2))) != []


def test_schedule_is_asked_at_every_step_with_its_position_in_epochs() -> None:
    objective = Recording(ELBO())
    trained = trainer(objective=objective, schedule=lambda epoch: epoch, epochs=2)
    history = trained.fit().to_record()
    assert objective.weights == [epoch + step / STEPS for epoch in range(2) for step in range(STEPS)]
    assert history["kl_weight"] == [(STEPS - 1) / STEPS, 1 + (STEPS - 1) / STEPS]


def test_more_samples_reach_the_decoder() -> None:
    objective = Recording(ELBO())
    trainer(objective=objective, samples=4, epochs=1).fit()
    assert objective.seen[0][1].shape == (4, BATCH, LATENT)


def test_clip_norm_bounds_the_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    norms: list[float] = []
    for clip_norm in (None, 1e-3):
        trained = trainer(clip_norm=clip_norm, epochs=1)
        step = trained.stepper.optimizer.step

        def spy(step=step, trained=trained) -> None:  # type: ignore[no-untyped-def]
            norms.append(float(torch.stack([p.grad.norm() for p in trained.vae.parameters()]).norm()))
            step()

        monkeypatch.setattr(trained.stepper.optimizer, "step", spy)
        trained.fit()
    free, clipped = norms[:STEPS], norms[STEPS:]
    assert min(free) > 1e-2
    assert max(clipped) <= 1e-3 * (1 + 1e-4)  # float32 norms


def test_listeners_hear_of_every_epoch_in_order() -> None:
    heard: list[tuple[int, int]] = []

    def listener(row: EpochRow, trained: Trainer) -> None:
        heard.append((row.epoch, len(trained.history.rows)))

    trainer(listeners=[listener]).fit()
    assert heard == [(epoch, epoch) for epoch in range(1, EPOCHS + 1)]


def test_training_learns() -> None:
    losses = trainer(epochs=20, learning_rate=5e-2).fit().to_record()["loss"]
    assert losses[-1] < losses[0] - 0.3


def test_history_holds_the_means_of_the_terms() -> None:
    terms: list[Terms] = []

    class Keeping(ELBO):
        def __call__(self, trace: Trace, kl_weight: float | Tensor = 1.0) -> Terms:
            terms.append(super().__call__(trace, kl_weight))
            return terms[-1]

    record = trainer(objective=Keeping(), epochs=1).fit().to_record()
    for name in ("loss", "reconstruction", "rate_q"):
        by_hand = torch.stack([getattr(term, name).mean() for term in terms]).double().mean()
        assert record[name] == [pytest.approx(by_hand.item(), rel=1e-6)]


def test_without_measuring_the_weights_are_the_same_and_the_record_is_short() -> None:
    measured, bare = trainer(epochs=2), trainer(epochs=2, measure=False)
    record = bare.fit().to_record()
    measured.fit()
    assert record["dimensions"] == {}
    assert "active_units" not in record
    for name, weight in measured.vae.state_dict().items():
        assert torch.equal(weight, bare.vae.state_dict()[name])


class WithSlopes(ELBO):
    """Keeps each example's own gradient of log p(x|z) at its first z, from autograd."""

    slopes: Tensor

    def __call__(self, trace: Trace, kl_weight: float | Tensor = 1.0) -> Terms:
        log_prob = trace.p_x.log_prob(trace.x)[0].sum()
        self.slopes, self.trace = torch.autograd.grad(log_prob, trace.z, retain_graph=True)[0][0], trace
        return super().__call__(trace, kl_weight)

    __setattr__ = object.__setattr__  # the parent is frozen


@pytest.mark.parametrize("samples", [1, 3])
def test_dimensions_are_measured_on_the_gradients_of_training(samples: int) -> None:
    objective = WithSlopes()
    trained = trainer(objective=objective, samples=samples, epochs=1, batch_size=50)
    measured = {name: torch.tensor(value[0]) for name, value in trained.fit().to_record()["dimensions"].items()}
    slopes, q = objective.slopes, objective.trace.q
    pull = (slopes * objective.trace.eps[0]).mean(0)
    force = (1 / q.std - q.std).mean(0).abs()
    close = {"rtol": 1e-4, "atol": 1e-6}
    torch.testing.assert_close(measured["decoder_capacity"], slopes.square().mean(0).sqrt(), **close)
    torch.testing.assert_close(measured["gradient_ratio"], pull.abs() / force, rtol=1e-3, atol=0)
    torch.testing.assert_close(measured["std_mean"], q.std.mean(0), **close)
    torch.testing.assert_close(measured["kl"], q.kl_per_dim(objective.trace.p_z).mean(0), **close)
    torch.testing.assert_close(measured["signal_power"], q.mu.var(0, correction=0), **close)
    assert torch.equal(measured["exponent"], torch.ones(LATENT))
