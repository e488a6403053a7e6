"""A posterior improved by steps of its own: what a step does, who learns from what, and where it ends."""

from typing import Any

import pytest
import torch
from exact_models import LinearGaussian
from small import EPOCHS, LATENT, STEPS, data_and_noise, differing, equalizer, everything, trainer, vae
from torch import Tensor
from torch.distributions import MultivariateNormal

from lambda_vae.distributions import DiagGaussian
from lambda_vae.errors import InputError
from lambda_vae.methods import method_named
from lambda_vae.posteriors import FlowPosterior
from lambda_vae.training import SemiAmortized, Trainer
from lambda_vae.training.semi_amortized import natural_step


def refining(steps: int = 3, rate: float = 0.2, **settings: Any) -> Trainer:
    return trainer(strategy=SemiAmortized(steps, rate), **settings)


# One step.


def test_a_whole_step_ends_at_the_mean_of_a_conjugate_loss(normal64) -> None:
    """The loss 1/2 P (mu - m)^2 with sigma^2 = 1 / P: its gradient is P (mu - m)."""
    precision, target = normal64(5, 2).square() + 0.5, normal64(5, 2)
    start = DiagGaussian(target + 0.9 * normal64(5, 2).tanh() / precision.sqrt(), -precision.log())
    flat = torch.zeros_like(target)
    torch.testing.assert_close(natural_step(start, precision * (start.mu - target), flat, 1.0).mu, target)
    half = natural_step(start, precision * (start.mu - target), flat, 0.5)
    torch.testing.assert_close(half.mu - target, 0.5 * (start.mu - target))
    assert torch.equal(half.logvar, start.logvar)


def test_a_step_is_the_gradient_over_the_fisher_information_by_autograd(normal64) -> None:
    mu, logvar, dmu, dlogvar = (0.1 * normal64(3) for _ in range(4))
    at = torch.cat((mu, logvar))

    def divergence(parameters: Tensor) -> Tensor:
        here = MultivariateNormal(at[:3], (at[3:]).exp().diag())
        there = MultivariateNormal(parameters[:3], parameters[3:].exp().diag())
        return torch.distributions.kl_divergence(here, there)

    fisher = torch.autograd.functional.hessian(divergence, at)
    moved = natural_step(DiagGaussian(mu, logvar), dmu, dlogvar, 0.3)
    expected = at - 0.3 * torch.linalg.solve(fisher, torch.cat((dmu, dlogvar)))
    torch.testing.assert_close(torch.cat((moved.mu, moved.logvar)), expected)


def test_no_step_goes_further_than_one_sigma_or_a_factor_e() -> None:
    q = DiagGaussian(torch.zeros(1, 2), torch.tensor([[0.0, -4.0]]))
    steep = torch.tensor([[1e9, -1e9]])
    moved = natural_step(q, steep, steep, 0.1)
    torch.testing.assert_close(moved.mu, torch.stack((-q.std[:, 0], q.std[:, 1]), 1))
    torch.testing.assert_close(moved.logvar, torch.tensor([[-1.0, -3.0]]))


# Who learns from what.


def test_without_steps_it_is_the_plain_vae_bit_for_bit() -> None:
    plain, still, lively = trainer(), refining(steps=0), refining(steps=1)
    for trained in (plain, still, lively):
        trained.fit()
    own = ("strategy.", "history.refinement_gain")
    other = {name: value for name, value in everything(still).items() if not name.startswith(own)}
    assert differing(everything(plain), other) == []
    assert "model.decoder.0.weight" in differing(everything(plain), everything(lively))


def test_the_decoder_learns_from_the_improved_q_and_the_encoder_from_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradients of one step, beside those of the two losses by hand."""
    trained = refining()
    model, objective, seen = trained.vae, trained.stepper.objective, dict[str, Any]()
    optimizer_step, from_posterior = trained.stepper.optimizer_step, model.from_posterior

    def passing(q: Any, x: Tensor, eps: Tensor, *more: Any) -> Any:
        seen.setdefault("first noise", eps)
        return from_posterior(q, x, eps, *more)

    def watching(trace: Any, terms: Any) -> Any:
        by_hand = objective(model(trace.x, seen["first noise"]), 1.0).loss.mean()
        encoder = torch.autograd.grad(by_hand, [*model.encoder.parameters(), *model.posterior.parameters()])
        improved = DiagGaussian(trace.q.mu.detach(), trace.q.logvar.detach())
        by_hand = objective(from_posterior(improved, trace.x, trace.eps), 1.0).loss.mean()
        decoder = torch.autograd.grad(by_hand, list(model.decoder.parameters()))
        torch.testing.assert_close(terms.loss.mean(), by_hand)
        trained.accelerator.backward(terms.loss.mean(), retain_graph=True)
        for weight, expected in zip(model.parameters(), (*encoder, *decoder), strict=True):
            torch.testing.assert_close(weight.grad, expected)
            weight.grad = None
        seen["steps"] = seen.get("steps", 0) + 1
        seen.pop("first noise")
        return optimizer_step(trace, terms)

    monkeypatch.setattr(model, "from_posterior", passing)
    monkeypatch.setattr(trained.stepper, "optimizer_step", watching)
    trained.fit()
    assert seen["steps"] == STEPS * EPOCHS


def test_main_data_and_noise_are_those_of_every_method() -> None:
    seen = [data_and_noise(trained) for trained in (trainer(), refining())]
    assert all(map(torch.equal, *seen))
    assert len(seen[1]) == 2 * STEPS * EPOCHS


# Where the steps lead.


def test_the_steps_lead_to_the_best_posterior_of_a_linear_model(normal64) -> None:
    model = LinearGaussian(normal64(6, 2).float(), torch.zeros(6), 0.5)
    start, x = model.vae(std_factor=2.0), model.sample(40, torch.Generator().manual_seed(1))
    with torch.no_grad():
        start.posterior.head.bias += torch.tensor([0.5, -0.5, 0.0, 0.0])
    trained = trainer(
        model=start, x=x, view=lambda rows, _, __: rows, strategy=SemiAmortized(200, 0.05), samples=32, batch_size=40,
        epochs=1, learning_rate=1e-9,
    )  # fmt: skip
    laws = []
    trained.recorder.observe = lambda step: laws.append((step.trace.x, step.trace.q))
    trained._train_step(trained.draws.batch(torch.arange(40), 1.0, 0))
    seen, q = laws[0]
    with torch.no_grad():
        best, before = model.best_posterior(seen), model.nll_bound(seen, start.encode(seen))
    q = DiagGaussian(q.mu.detach(), q.logvar)
    torch.testing.assert_close(q.mu, best.mu, atol=0.1, rtol=0)
    torch.testing.assert_close(q.logvar, best.logvar, atol=0.15, rtol=0)
    least, reached = model.nll_bound(seen, best).mean(), model.nll_bound(seen, q).mean()
    assert before.mean() > least + 0.5
    assert reached < least + 0.02
    # Both losses are averages over 32 draws for each of 40 examples: an error of some 0.15.
    gain = float(trained.strategy.total)
    assert gain == pytest.approx(float(before.mean() - reached), abs=0.5)


def test_the_gain_of_an_epoch_is_recorded_and_is_one() -> None:
    trained = refining(steps=10)
    trained.fit()
    gains = [row.scalars["refinement_gain"] for row in trained.history.rows]
    assert len(gains) == EPOCHS
    assert min(gains[1:]) > 0.0


def test_lambda_and_a_prior_that_looks_at_the_encoder_compose_with_it() -> None:
    for name in ("lambda-vae+semi-amortized", "vamp-prior+semi-amortized", "beta-vae+semi-amortized"):
        assert "strategy" in method_named(name).own_parts()
    trained = refining(exponents=equalizer())
    trained.fit()
    assert all(bool(value.isfinite().all()) for value in everything(trained).values())


# What is refused.


@pytest.mark.parametrize("other", ["iaf", "flow", "delta-vae", "iwae", "lagging", "aae"])
def test_methods_that_do_not_fit_are_refused_by_name(other: str) -> None:
    with pytest.raises(InputError, match="do not fit together"):
        method_named(f"semi-amortized+{other}")


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"steps": -1}, "refine_steps is -1; it must be at least 0"),
        ({"rate": 0.0}, "refine_rate is 0.0; it must lie above 0"),
        ({"rate": 1.5}, "be 1 at most"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(InputError, match=what):
        SemiAmortized(**settings)


def test_a_law_that_is_no_diagonal_gaussian_is_refused() -> None:
    model = vae()
    model.posterior = FlowPosterior(8, LATENT, "coupling", 1, (4,))
    with pytest.raises(InputError, match="only a diagonal Gaussian can be improved in steps"):
        refining(model=model).fit()


def test_parts_of_a_batch_are_refused() -> None:
    with pytest.raises(InputError, match="use `accumulate=1`"):
        refining(accumulate=2)


def test_bfloat16_trains_with_it() -> None:
    trained = refining(precision="bfloat16")
    trained.fit()
    assert all(weight.dtype == torch.float32 for weight in trained.vae.parameters())
