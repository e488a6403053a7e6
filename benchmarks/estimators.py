"""How far every estimator is off where the truth is known in closed form, beside the error that it claims.

Each row repeats an estimate on fresh data and fresh chance. Writes results/estimators.md.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from facts import facts, facts_lines
from lambda_vae.diagnostics.gradients import gradient_features, gradient_ratio, reconstruction_gradient
from lambda_vae.estimation._kl_split import kl_split
from lambda_vae.estimation._mutual_information import MutualInformation
from lambda_vae.estimation.annealed import Annealing, anneal_down, anneal_up, simulate
from lambda_vae.estimation.contrastive import contrastive_information
from lambda_vae.estimation.entropy import aggregate_entropy
from lambda_vae.estimation.estimate import Estimate
from lambda_vae.estimation.importance import importance_weights
from lambda_vae.estimation.moments import moments_of, reading_of
from lambda_vae.estimation.proposals import proposal_laws
from lambda_vae.files import write_atomic
from single_core import on_one_core

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from exact_models import GaussianChannel, LinearGaussian

__all__ = ["page"]

_HEAD = (
    "| estimator | size | truth | estimate | bias | off by | it claims | note |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |"
)


@dataclass(frozen=True)
class _Trial:
    """One estimate.

    Args:
        value: It.
        stderr: The standard error that it claims.
        truth: Of the law behind the data.
        on_these: Of these very data, where it is known apart; what the bias is taken against.
    """

    value: float
    stderr: float
    truth: float
    on_these: float


def _row(name: str, size: str, trials: list[_Trial], note: str = "") -> str:
    """Bias against the truth on the same data; scatter about the truth of the law, which is what the errors claim."""
    bias = [trial.value - trial.on_these for trial in trials]
    stderr = statistics.stdev(bias) / len(bias) ** 0.5
    scatter = math.sqrt(statistics.fmean([(trial.value - trial.truth) ** 2 for trial in trials]))
    claimed = math.sqrt(statistics.fmean([trial.stderr**2 for trial in trials]))
    truth, value = (statistics.fmean([getattr(trial, what) for trial in trials]) for what in ("truth", "value"))
    numbers = (
        f"{truth:.3f} | {value:.3f} | {statistics.fmean(bias):+.4f} ± {stderr:.4f} | {scatter:.4f} | {claimed:.4f}"
    )
    return f"| {name} | {size} | {numbers} | {note} |"


def _linear(features: int, dim: int) -> LinearGaussian:
    generator = torch.Generator().manual_seed(dim)
    weight = torch.randn(features, dim, generator=generator, dtype=torch.float64) / dim**0.5
    return LinearGaussian(weight, torch.full((features,), 0.3, dtype=torch.float64), 0.5)


def _entropy(model: LinearGaussian) -> float:
    covariance = model.weight @ model.weight.T + model.noise_var * torch.eye(len(model.bias), dtype=torch.float64)
    return float(0.5 * torch.logdet(2.0 * math.pi * math.e * covariance))


def _weighed(model: LinearGaussian, proposal: str, samples: int, seed: int) -> _Trial:
    generator = torch.Generator().manual_seed(seed)
    vae, x = model.vae(std_factor=0.7), model.sample(200, generator)
    with torch.no_grad():
        q = vae.encode(x)
    law = proposal_laws(vae, q, (proposal,), factor=1.6)[proposal]
    nll = importance_weights(vae, x, law, samples, generator).weights.nll
    reading = reading_of(nll, "nats")
    return _Trial(float(reading.value), float(reading.stderr), _entropy(model), float(model.nll(x).mean()))


def _annealed(model: LinearGaussian, temperatures: int, seed: int) -> tuple[_Trial, _Trial, float]:
    generator, settings = torch.Generator().manual_seed(seed), Annealing(temperatures, 10, 5)
    vae = model.vae()
    x, z = simulate(vae, 40, generator)
    up = anneal_up(vae, x, settings, generator)
    down = anneal_down(vae, x, z, settings, up.step, generator)
    truth, exact = _entropy(model), float(model.nll(x).mean())
    sides = [reading_of(nll, "nats") for nll in (up.weights.nll, -down.weights.nll)]
    trials = [_Trial(float(side.value), float(side.stderr), truth, exact) for side in sides]
    return trials[0], trials[1], float(sides[0].value - sides[1].value)


def _likelihoods(repeats: int) -> Iterator[str]:
    for features, dim in ((10, 3), (30, 8)):
        model = _linear(features, dim)
        for proposal in ("q", "wide", "defensive"):
            for samples in (10, 100, 1000):
                trials = [_weighed(model, proposal, samples, seed) for seed in range(repeats)]
                yield _row(f"`nll_iw`, {proposal}, D = {dim}", f"K = {samples}", trials, "an upper bound")
        for temperatures in (10, 100, 1000):
            found = [_annealed(model, temperatures, seed) for seed in range(repeats)]
            size, gap = f"T = {temperatures}", statistics.fmean([sides[2] for sides in found])
            yield _row(f"`nll_ais`, D = {dim}", size, [sides[0] for sides in found], "from above")
            yield _row(f"its reverse, D = {dim}", size, [sides[1] for sides in found], f"from below; gap {gap:.3f}")


def _channel(signal: float) -> GaussianChannel:
    """Four dimensions, the first two of which say partly the same."""
    covariance = signal * torch.eye(4, dtype=torch.float64)
    covariance[0, 1] = covariance[1, 0] = 0.6 * signal
    return GaussianChannel(covariance, torch.full((4,), 0.4, dtype=torch.float64))


def _of(found: Estimate | MutualInformation, truth: float) -> _Trial:
    return _Trial(found.value, found.stderr, truth, truth)


def _information(repeats: int) -> Iterator[str]:
    for signal in (0.2, 0.84):
        channel = _channel(signal)
        for count in (500, 2000, 8000):
            trials: dict[str, list[_Trial]] = {}
            for seed in range(repeats):
                generator = torch.Generator().manual_seed(seed)
                for name, trial in _measured(channel, count, generator).items():
                    trials.setdefault(name, []).append(trial)
            for name, tries in trials.items():
                yield _row(f"{name}, S = {signal}", f"N = {count:,}", tries, _NOTES.get(name, ""))


_NOTES = {
    "I(X;Z), mixture": "a lower bound, at most ln N",
    "I(X;Z), own left out": "an upper bound",
    "I(X;Z), Gaussian": "exact for this channel",
    "I(X;Z), InfoNCE, B = 128": "a lower bound, at most ln 128 = 4.852",
    "KL(q(z) ‖ p)": "high by what I(X;Z) is low",
}


def _measured(channel: GaussianChannel, count: int, generator: torch.Generator) -> dict[str, _Trial]:
    mu, logvar = channel.codes(count, generator)
    split, entropy = kl_split(mu, logvar, generator), aggregate_entropy(mu, logvar, generator)
    contrast = contrastive_information(mu, logvar, generator, batch_size=128)
    found: dict[str, tuple[Estimate | MutualInformation, float]] = {
        "I(X;Z), mixture": (split.information.lower, channel.information),
        "I(X;Z), own left out": (split.information.upper, channel.information),
        "I(X;Z), Gaussian": (split.gaussian, channel.information),
        "I(X;Z), InfoNCE, B = 128": (contrast, channel.information),
        "I(X;Z_1)": (split.marginals[0], float(channel.marginal_information[0])),
        "H[Z]": (entropy.lower, channel.entropy),
        "KL(q(z) ‖ p)": (split.mismatch, channel.mismatch),
        "total correlation": (split.total_correlation, channel.total_correlation),
        "dimension-wise KL": (split.dimension_wise_kl, float(channel.dimension_wise_kl.sum())),
        "rate": (split.rate, channel.rate),
    }
    return {name: _of(*pair) for name, pair in found.items()}


def _gradients(repeats: int) -> Iterator[str]:
    """The decoder of a linear VAE pulls at sigma with -|w|^2/v times sigma, whatever x."""
    model, std = _linear(12, 2), 0.8
    information = model.weight.square().sum(0) / model.noise_var
    truths = {"g^σ": -information * std, "ρ": information * std / (1.0 / std - std)}
    for count in (100, 1000, 10000):
        tries: dict[str, list[_Trial]] = {name: [] for name in truths}
        for seed in range(repeats):
            for name, (value, stderr) in _pull(model, std, count, seed).items():
                truth = float(truths[name][0])
                tries[name].append(_Trial(float(value[0]), float(stderr[0]), truth, truth))
        for name, trials in tries.items():
            yield _row(f"{name} of a dimension", f"N = {count:,}", trials)


def _pull(model: LinearGaussian, std: float, count: int, seed: int) -> dict[str, tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    vae, x = model.vae(), model.sample(count, generator)
    with torch.no_grad():
        q = vae.encode(x)
        q = q.with_logvar(torch.full_like(q.logvar, 2.0 * math.log(std)))
    eps = torch.randn(1, *q.mu.shape, generator=generator, dtype=torch.float64)
    moments = moments_of(gradient_features(vae, x, q, eps))
    pull, ratio = reconstruction_gradient(moments), gradient_ratio(moments).ratio
    return {"g^σ": (pull.value, pull.stderr), "ρ": (ratio.value, ratio.stderr)}


_PARTS: dict[str, tuple[str, Callable[[int], Iterator[str]]]] = {
    "Likelihood": (
        "The linear VAE (probabilistic PCA) with D dimensions and an oblique W: no diagonal posterior is exact; "
        "σ of q is 0.7 of the best, *wide* is 1.6 times that. 200 examples a repetition for importance weights; 40 "
        "simulated ones, 10 chains and 5 leapfrog steps for annealing.",
        _likelihoods,
    ),
    "Information": (
        "A Gaussian channel of four dimensions with noise 0.4 and signal S, two of them correlated at 0.6; N codes, "
        "drawn afresh each time. The truth is that of the law behind the codes.",
        _information,
    ),
    "Gradients": (
        "A linear decoder, σ = 0.8 everywhere, one draw an example.",
        _gradients,
    ),
}


def page(repeats: int) -> str:
    """Return a Markdown page.

    Args:
        repeats: Of each estimate.
    """
    parts = ["# Errors of the estimators on exact ground", "\n".join(facts_lines(facts()))]
    parts.append(
        f"{repeats} repetitions a row. *Bias*: mean of estimate less truth on the same data, ± the standard error of "
        "that mean. *Off by*: root mean square of estimate less the truth of the law behind the data; *it claims*: the "
        "standard error that the estimator gives, which should be as large where nothing biases it. Nats, but for "
        "gradients and their ratio."
    )
    for name, (what, rows) in _PARTS.items():
        parts += [f"## {name}", what, "\n".join((_HEAD, *rows(repeats)))]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("results"))
    chosen = parser.parse_args()
    on_one_core()
    text = page(chosen.repeats)
    write_atomic(chosen.out / "estimators.md", text)
    print(text)
