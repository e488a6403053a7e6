"""What every method keeps to, alone and composed: gradients, saving, resuming, and a bound that is one."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flat_runs import changed, run_of
from torch import Tensor, nn

import lambda_vae.runs.networks
from lambda_vae.data.dataset import Dataset, Split
from lambda_vae.distributions import standard_normal
from lambda_vae.estimation.likelihood import likelihood_features
from lambda_vae.methods import METHODS, Method, method_named
from lambda_vae.model import VAE
from lambda_vae.runs import Run, RunConfig
from lambda_vae.runs._train import make_trainer
from lambda_vae.runs.build import build_vae
from lambda_vae.runs.weights import load_model, save_model
from lambda_vae.training import Interrupted, Step, Trainer, checkpoints

ROWS, FEATURES, BATCH, SAMPLES = 60, 12, 10, 3
BASE = run_of(
    data="toy", latent_dim=2, hidden=(8,), activation="tanh", epochs=3, batch_size=BATCH, learning_rate=1e-2,
    delta=1.1, checkpoint_every=1, evaluate_every=0, trackers=(),
)  # fmt: skip

#: Compositions that the comparison holds, beside all single rows.
COMPOSITIONS = (
    "lambda-vae+beta-vae",
    "lambda-vae+warm-up",
    "lambda-vae+cyclical",
    "lambda-vae+free-bits",
    "lambda-vae+vamp-prior",
    "lambda-vae+iaf",
    "lambda-vae+info-vae",
)
NAMES = (*METHODS, *COMPOSITIONS)

#: Settings that fit so small a model and so short a training, and that do something there.
SETTINGS: dict[str, dict[str, Any]] = {
    "beta-vae": {"beta": 2.0},
}

#: Without z, the weights that would read it rest, and the ratio of two forces that are both 0 is not known.
IDLE, UNKNOWN = {"no-z": ["vae.decoder.0.weight"]}, {"no-z": {"gradient_ratio"}}

#: Settings at which a method is the plain VAE, step for step.
NEUTRAL = {name: method.neutral for name, method in METHODS.items() if not isinstance(method.neutral, str)}


def examples(rows: int = ROWS, seed: int = 5) -> np.ndarray[Any, Any]:
    """Images of 3x4 black and white pixels that two codes switch on and off, with noise: [N, F], uint8."""
    random = np.random.default_rng(seed)
    codes = random.integers(0, 2, (rows, 2)).repeat(FEATURES // 2, axis=1)
    return (255 * (random.random((rows, FEATURES)) < 0.1 + 0.8 * codes)).astype(np.uint8)


def toy(kind: str = "image") -> Dataset:
    x = examples() if kind == "image" else (examples() / 255.0).astype(np.float32)
    part = Split(x, None)
    return Dataset("toy", kind, (3, 4) if kind == "image" else (FEATURES,), part, part, "", "made up", None)  # type: ignore[arg-type]


def config_of(name: str, **changes: Any) -> RunConfig:
    settings = {key: value for row in name.split("+") for key, value in SETTINGS.get(row, {}).items()}
    few = min(SAMPLES, method_named(name).draws(1))
    return changed(BASE, **{"method": name, "samples": few, **settings, **changes})


def trainer_of(name: str, folder: Path | None = None, kind: str = "image", **changes: Any) -> Trainer:
    return make_trainer(Run.resolve(config_of(name, **changes), toy(kind)), folder)


def modules_of(trainer: Trainer) -> dict[str, nn.Module]:
    """The model, and what a strategy trains beside it."""
    owned = {name: part for name, part in vars(trainer.strategy).items() if isinstance(part, nn.Module)}
    return {"vae": trainer.vae, **owned}


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@dataclass(frozen=True)
class Watched:
    """One epoch of a method, looked over its shoulder."""

    trainer: Trainer
    steps: list[Step]
    gradients: dict[str, list[Tensor]]
    before: dict[str, Tensor]

    @property
    def after(self) -> dict[str, Tensor]:
        return dict(parameters_of(self.trainer))


def parameters_of(trainer: Trainer) -> Iterator[tuple[str, Tensor]]:
    for owner, module in modules_of(trainer).items():
        for parameter, value in module.named_parameters():
            if value.requires_grad:
                yield f"{owner}.{parameter}", value


@cache
def watched(name: str) -> Watched:
    trainer = trainer_of(name, epochs=1)
    steps: list[Step] = []
    observe = trainer.recorder.observe
    trainer.recorder.observe = lambda step: (steps.append(step), observe(step))[1]  # type: ignore[method-assign]
    gradients: dict[str, list[Tensor]] = {}
    before = {}
    for parameter, value in parameters_of(trainer):
        before[parameter] = value.detach().clone()
        value.register_hook(gradients.setdefault(parameter, []).append)
    trainer.fit()
    return Watched(trainer, steps, gradients, before)


def test_an_epoch_leaves_shapes_as_promised_and_finite_numbers(name: str) -> None:
    seen, samples = watched(name), Run.resolve(config_of(name), toy()).options().samples
    assert len(seen.steps) == ROWS // BATCH
    for step in seen.steps:
        trace, terms = step.trace, step.terms
        assert trace.z.shape == (samples, BATCH, 2)
        assert trace.p_x.log_prob(trace.x).shape == (samples, BATCH)
        assert terms.reconstruction.shape == (samples, BATCH)
        assert terms.loss.shape[-1] == terms.rate_q.shape[-1] == BATCH
        assert all(values.isfinite().all() for values in (trace.z, terms.loss, terms.reconstruction, terms.rate_q))
        if step.dlogp_dz is not None:
            assert step.dlogp_dz.shape == (samples, BATCH, 2)
            assert step.dlogp_dz.isfinite().all()
    (row,) = seen.trainer.history.rows
    assert all(np.isfinite(value) for value in row.scalars.values())
    known = {key: values for key, values in row.dimensions.items() if key not in UNKNOWN.get(name, ())}
    assert all(np.isfinite(values).all() and len(values) == 2 for values in known.values())


def test_gradients_are_finite_and_reach_every_parameter(name: str) -> None:
    seen = watched(name)
    assert [p for p, found in seen.gradients.items() if not all(g.isfinite().all() for g in found)] == []
    assert [p for p, found in seen.gradients.items() if not any(g.count_nonzero() for g in found)] == IDLE.get(name, [])
    assert [p for p, value in seen.after.items() if torch.equal(value, seen.before[p])] == IDLE.get(name, [])
    assert [p for p, value in seen.after.items() if not value.isfinite().all()] == []


def everything(trainer: Trainer) -> dict[str, Tensor]:
    """All that a run consists of but for its seconds."""
    tensors = {key: value.clone() for key, value in trainer._checkpoint().tensors.items()}
    tensors.pop("history.seconds", None)
    return tensors


@cache
def trained(name: str) -> Trainer:
    trainer = trainer_of(name)
    trainer.fit()
    return trainer


def test_a_run_resumed_in_the_middle_of_an_epoch_is_the_uninterrupted_one_bit_for_bit(
    name: str, tmp_path: Path
) -> None:
    broken = trainer_of(name, tmp_path)
    train_step, steps = broken._train_step, iter(range(10**6))

    def stopping(*batch: Any) -> None:
        if next(steps) == ROWS // BATCH + 3:
            signal.raise_signal(signal.SIGTERM)
        train_step(*batch)

    broken._train_step = stopping
    with pytest.raises(Interrupted, match="epoch 2, step 4"):
        broken.fit()
    resumed = trainer_of(name, tmp_path)
    newest = checkpoints.latest(tmp_path)
    assert newest is not None
    resumed.restore(checkpoints.load(newest))
    assert (resumed.epoch, resumed.step) == (1, 4)
    resumed.fit()
    whole, again = everything(trained(name)), everything(resumed)
    assert whole.keys() == again.keys()
    apart = [key for key in whole if not torch.equal(whole[key].nan_to_num(7.0), again[key].nan_to_num(7.0))]
    assert apart == []


def test_a_model_saved_and_loaded_encodes_and_decodes_the_same(name: str, tmp_path: Path) -> None:
    trainer = trained(name)
    save_model(tmp_path / "model.safetensors", trainer.vae)
    other = build_vae(config_of(name, seed=9), (3, 4), "bernoulli")
    load_model(tmp_path / "model.safetensors", other)
    exponent = other.equalization.exponent
    assert (exponent is None) == (trainer.equalizer is None)
    assert exponent is None or torch.equal(exponent, trainer.equalizer.exponent)
    assert other.equalization.delta == trainer.vae.equalization.delta
    x = seen_by_the_model()
    first, second = (passed(vae, x) for vae in (trainer.vae.eval(), other))
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))


@torch.no_grad()
def passed(vae: VAE, x: Tensor) -> tuple[Tensor, ...]:
    q = vae.sampled(vae.encode(x))
    drawn = q.rsample_and_log_prob(torch.randn(2, len(x), q.noise_dim, generator=torch.Generator().manual_seed(2)))
    p_x = vae.decode(drawn.z)
    return drawn.z, drawn.log_prob(), vae.p_z().log_prob(drawn.z), p_x.mean, p_x.log_prob(x)


def seen_by_the_model(rows: int = 6) -> Tensor:
    return torch.from_numpy(examples(rows, seed=6) / 255.0).float()


@dataclass(frozen=True)
class Likelihoods:
    """Estimates of -log p(x) for each example: means over independent repetitions, and their standard errors."""

    bound: Tensor
    iw: dict[str, Tensor]
    surrogate: Tensor
    stderr: Tensor


@torch.no_grad()
def measured(vae: VAE, x: Tensor, repetitions: int = 40, samples: int = 32) -> Likelihoods:
    vae.eval()
    q, generator = vae.encode(x), torch.Generator().manual_seed(3)
    found = [likelihood_features(vae, x, q, samples, generator) for _ in range(repetitions)]
    joined = {key: torch.cat([features[key] for features in found], dim=1) for key in found[0]}
    bound = joined["reconstruction"] + joined["rate"]
    iw = {key: value for key, value in joined.items() if key.startswith("nll_iw")}
    spread = torch.stack([value.std(1) for value in (bound, *iw.values())]).amax(0)
    surrogate = (joined["reconstruction"] + joined["rate_q"]).mean(1)
    means = {key: value.mean(1) for key, value in iw.items()}
    return Likelihoods(bound.mean(1), means, surrogate, spread / repetitions**0.5)


@torch.no_grad()
def integrated(vae: VAE, x: Tensor, reach: float = 9.0, step: float = 0.05) -> Tensor:
    """-log of the integral of p(x|z) p(z) over z, on a grid in float64: [B].

    A learned prior may have tails that no grid of z holds; then the grid is one of the noise that its draws are made
    of, which is independent of its density.
    """
    line = torch.arange(-reach, reach + step / 2, step)
    grid, p_z, cell = torch.cartesian_prod(line, line), vae.p_z(), 2 * np.log(step)
    z, log_mass = grid, p_z.log_prob(grid).double() + cell
    if float(log_mass.logsumexp(0)) < -2e-3 and p_z.noise_dim == 2:
        z, log_mass = p_z.rsample(grid), standard_normal(2).log_prob(grid).double() + cell
    assert float(log_mass.logsumexp(0)) == pytest.approx(0.0, abs=2e-3), "the prior's density does not integrate to 1"
    p_x = vae.decode(z)
    return -torch.stack([(p_x.log_prob(row.expand(len(z), -1)).double() + log_mass).logsumexp(0) for row in x])


def assert_bounds(found: Likelihoods, exact: Tensor, tolerance: float = 2e-3) -> None:
    """exact <= every importance-weighted estimate; the reported one <= the bound; each within five standard errors."""
    slack = 5 * found.stderr + tolerance
    lowest = torch.stack(list(found.iw.values())).amin(0)
    assert all((value >= exact - slack).all() for value in found.iw.values())
    assert (found.bound >= exact - slack).all()
    assert (found.bound >= lowest - slack).all()
    assert (found.bound - exact).mean() > -found.stderr.mean()


def test_the_bound_is_one_and_the_importance_weighted_estimate_lies_between(name: str) -> None:
    trainer, x = trained(name), seen_by_the_model()
    assert_bounds(measured(trainer.vae, x), integrated(trainer.vae, x))


def linear(inputs: int, hidden: tuple[int, ...], outputs: int | None = None, activation: str = "") -> nn.Module:
    return nn.Linear(inputs, hidden[-1] if outputs is None else outputs)


def exact_nll(vae: VAE, x: Tensor) -> Tensor:
    weight, noise = vae.decoder.weight.detach().double(), vae.likelihood.logvar.detach().double().exp()
    covariance = weight @ weight.T + torch.diag(noise)
    law = torch.distributions.MultivariateNormal(vae.decoder.bias.detach().double(), covariance)
    return -law.log_prob(x.double())


@pytest.mark.parametrize(
    "name", [name for name in NAMES if not {"prior", "decoder"} & {*method_named(name).own_parts()}]
)
def test_the_bound_holds_where_the_likelihood_is_exact(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A linear decoder with Gaussian noise and a standard normal prior: log p(x) is a Gaussian's log density."""
    monkeypatch.setattr(lambda_vae.runs.networks, "mlp", linear)
    trainer = trainer_of(name, kind="vector")
    trainer.fit()
    x = seen_by_the_model()
    exact = exact_nll(trainer.vae, x)
    torch.testing.assert_close(integrated(trainer.vae, x), exact, rtol=0, atol=1e-3)
    assert_bounds(measured(trainer.vae, x), exact)


def test_the_surrogate_would_fail_where_the_bound_holds() -> None:
    """The check above can fail: what the paper calls NLL lies below -log p(x) once lambda is at work."""
    trainer, x = trainer_of("lambda-vae", delta=1.01, epochs=12), seen_by_the_model()
    trainer.fit()
    found, exact = measured(trainer.vae, x), integrated(trainer.vae, x)
    assert_bounds(found, exact)
    with pytest.raises(AssertionError):
        assert_bounds(replace(found, bound=found.surrogate), exact)


def test_every_method_has_a_neutral_setting_or_a_reason_for_none() -> None:
    reasons = {name: method.neutral for name, method in METHODS.items() if name not in NEUTRAL}
    assert all(reason and reason != Method.neutral for reason in reasons.values())
    assert len(NEUTRAL) > len(reasons)


@pytest.mark.parametrize("name", NEUTRAL)
def test_at_its_neutral_setting_a_method_is_the_plain_vae(name: str) -> None:
    method = METHODS[name].with_settings(**NEUTRAL[name])
    plain, neutral = trained("vae"), trainer_of(name, **method.values)
    neutral.fit()
    assert [row.scalars["loss"] for row in neutral.history.rows] == pytest.approx(
        [row.scalars["loss"] for row in plain.history.rows], rel=1e-6
    )
    for part in ("encoder", "decoder"):
        mine, theirs = (getattr(trainer.vae, part).state_dict() for trainer in (neutral, plain))
        for key, value in mine.items():
            torch.testing.assert_close(value, theirs[key], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "vae"])
def test_at_its_own_setting_a_method_is_not_the_plain_vae(name: str) -> None:
    mine, theirs = trained(name).vae.decoder.state_dict(), trained("vae").vae.decoder.state_dict()
    assert any(not torch.equal(mine[key], theirs[key]) for key in theirs)
