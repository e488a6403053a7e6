"""Distributions whose log p is linear in x: Bernoulli, Poisson, multinomial and one-hot categories."""

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from lambda_vae.any_vae.recovered.probe import Probe, Recovered, close, normalised, read
from lambda_vae.distributions import Bernoulli
from lambda_vae.distributions.base import LikelihoodDistribution
from lambda_vae.distributions.counts import MultinomialCounts, PoissonCounts, multinomial_coefficient

__all__ = ["left_out", "linear", "multinomials"]

#: What -Bernoulli and -Poisson give at x = 0.
_AT_ZERO: dict[str, Callable[[Tensor], Tensor]] = {
    "Bernoulli": lambda logits: -F.softplus(logits).sum(1),
    "Poisson": lambda log_rates: -log_rates.exp().sum(1),
}


def linear(probe: Probe) -> Recovered | None:
    """Return the distribution whose value at x = 0 is the callable's, or None."""
    if float(probe.x.min()) < 0.0:
        return None
    zero = probe.at_zero()
    if bool((zero == 0.0).all()) and probe.finite:
        return _multinomial(probe)
    bits = float(probe.x.max()) <= 1.0
    for family in _AT_ZERO if bits else ["Poisson"]:
        for count in [*probe.divisors, *_weights(probe, zero, family)]:
            theta = probe.scaled(count)
            products = probe.rows * theta
            summed = (count * zero).abs() + products.abs().sum(1)
            if not _same(count * zero, _AT_ZERO[family](theta), probe.slope.shape[1]):
                continue
            if not close(count * probe.value, count * zero + products.sum(1), summed):
                continue
            if family == "Bernoulli":
                return read(probe, family, Bernoulli, count)
            lost = -float(torch.lgamma(probe.rows + 1.0).sum(1).mean())
            return read(probe, family, PoissonCounts, count, left_out("the ln x! of its Poisson", lost))
    return None


def _same(found: Tensor, expected: Tensor, features: int) -> bool:
    # ln(1 - p) of a p in float32 is off by its rounding in every feature.
    size = float(expected.abs().mean())
    return math.isfinite(size) and float((found - expected).abs().mean()) <= 1e-4 * size + 1e-7 * features


def _weights(probe: Probe, zero: Tensor, family: str) -> Iterator[float]:
    """What the value may have been divided by, as a multiple of a log density; alike examples tell round ones alone."""
    differ = float(zero.std()) > 1e-2 * float(zero.abs().mean())
    for count in _roots(lambda c: float((c * zero - _AT_ZERO[family](probe.scaled(c))).mean())):
        if differ or _round(count):
            yield count


def _round(count: float) -> bool:
    return any(abs(one - round(one)) < 1e-5 * one and 2 <= round(one) <= 20 for one in (count, 1.0 / count))


def _roots(function: Callable[[float], float]) -> list[float]:
    """Where a function of a positive number crosses 0."""
    grid = torch.logspace(-4, 6, 201, dtype=torch.float64).tolist()
    values = [function(c) for c in grid]
    found = []
    for place in range(len(grid) - 1):
        low, high = grid[place], grid[place + 1]
        if math.isfinite(values[place]) and math.isfinite(values[place + 1]) and values[place] * values[place + 1] < 0:
            for _ in range(40):
                middle = (low * high) ** 0.5
                low, high = (middle, high) if function(middle) * values[place] > 0 else (low, middle)
            found.append(low)
    return found


def _multinomial(probe: Probe) -> Recovered | None:
    """Of all features together, or along one of x's axes, as one-hot sequences have it."""
    shape = tuple(probe.x.shape[1:])
    groupings: list[tuple[tuple[int, ...] | None, int]] = [(None, 0)]
    groupings += [(shape, dim) for dim in range(len(shape)) if shape[dim] > 1 and len(shape) > 1]
    products = probe.rows * probe.slope
    if not close(probe.value, products.sum(1), products.abs().sum(1)):
        return None
    slopes = [probe.slope if group is None else probe.slope.reshape(-1, *group) for group, _ in groupings]
    for weighted in (False, True):
        for (group, dim), slope in zip(groupings, slopes, strict=True):
            for count in _totals(slope, dim + 1) if weighted else probe.divisors:
                if normalised(count * slope, dim + 1):
                    x = probe.rows if group is None else probe.x.double().movedim(dim + 1, -1)
                    lost = multinomial_coefficient(x).reshape(len(x), -1).sum(1)
                    note = left_out("the multinomial coefficient", float(lost.mean()))
                    law = multinomials(probe, coefficient=False, shape=group, dim=dim)
                    return read(probe, "multinomial", law, count, note)
    return None


def _totals(slope: Tensor, dim: int) -> list[float]:
    """Multiples of the slope whose exponentials sum to 1; of examples that are alike round ones alone."""
    differ = float(slope.std(0).mean()) > 1e-2 * float(slope.abs().mean())
    roots = _roots(lambda c: float(torch.logsumexp(c * slope, dim).mean()))
    return [count for count in roots if differ or _round(count)]


def multinomials(
    probe: Probe, *, coefficient: bool, shape: tuple[int, ...] | None = None, dim: int = 0
) -> Callable[[Tensor], LikelihoodDistribution]:
    """Return logits -> multinomial counts whose totals are those of the data."""
    totals = probe.rows.sum(1).float() if shape is None else probe.x.sum(dim + 1).float().mean().reshape(1)
    return lambda theta: MultinomialCounts(theta, coefficient, totals, shape, dim)


def left_out(what: str, nats: float) -> tuple[str, ...]:
    """Return a note on what would have to be added to the value."""
    if abs(nats) < 1e-3:
        return ()
    return (
        f"log_likelihood leaves out {what}, {abs(nats):.4g} nats an example: nll_bound is that much too "
        f"{'low' if nats < 0 else 'high'}, and comparable only with bounds that leave it out too.",
    )
