"""Distributions whose log p is quadratic in x, one feature at a time: Gaussians, and squared errors."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.any_vae.recovered.probe import Probe, Recovered, close
from lambda_vae.distributions import DiagGaussian

__all__ = ["quadratic"]

#: Means over fewer features are not told from a weight.
_FEW = 8


def quadratic(probe: Probe) -> Recovered | None:
    """Return the Gaussian that the value is of, or None."""
    curvature = _curvature(probe)
    step = probe.rows.roll(1, 0) - probe.rows
    off = (probe.elsewhere - probe.slope + curvature * step).abs().mean()
    if not bool((curvature > 0.0).all()) or float(off) > 1e-3 * float((curvature * step).abs().mean()):
        return None
    squares = -0.5 * (probe.slope.square() / curvature).sum(1)
    count = _count(probe, squares, curvature)
    notes: tuple[str, ...] = ()
    if count is None:
        lost = _normaliser(curvature) - (probe.value - squares)
        if not close(lost, lost.mean().expand_as(lost), probe.value.abs() + squares.abs() + lost.abs()):
            return _weighted(probe, squares, curvature)
        count, notes = 1, _note(lost, curvature)
    precision = curvature.mean(0)
    if float((curvature - precision).abs().max()) > 1e-2 * float(precision.min()):
        # Its noise depends on z, which the search for what is left has no room for.
        return Recovered(None, None, count, "Gaussian", notes)
    precision = precision.to(probe.x.dtype)
    logvar = -precision.log()

    def theta(rows: Tensor) -> Tensor:
        at, slope = probe.slopes_at(rows)
        return at + slope / precision

    return Recovered(theta, lambda theta: DiagGaussian(theta, logvar), count, "Gaussian", notes)


def _curvature(probe: Probe) -> Float[Tensor, "B F"]:
    """-d^2 log p / dx^2 of each feature, of independent ones: the row sums of the Hessian."""
    with torch.enable_grad():
        leaf = probe.x.detach().clone().requires_grad_()
        value = probe.function(leaf, probe.z.detach())
        slope = torch.autograd.grad(value.sum(), leaf, create_graph=True)[0]
        bend: Tensor = torch.autograd.grad(slope.sum(), leaf)[0]
    return -bend.flatten(1).double()


def _normaliser(curvature: Float[Tensor, "B F"]) -> Float[Tensor, " B"]:
    return 0.5 * (curvature.log() - math.log(2.0 * math.pi)).sum(1)


def _fits(probe: Probe, count: float, squares: Float[Tensor, " B"], curvature: Float[Tensor, "B F"]) -> bool:
    normaliser = _normaliser(curvature)
    expected = count * squares + normaliser + 0.5 * curvature.shape[1] * math.log(count)
    return close(count * probe.value, expected, count * squares.abs() + normaliser.abs())


def _weighted(probe: Probe, squares: Float[Tensor, " B"], curvature: Float[Tensor, "B F"]) -> Recovered | None:
    """A multiple of Gaussians of different noise, whose normalisers tell by how much they differ which one."""
    spread, normaliser = probe.value - squares, _normaliser(curvature)
    apart = spread - spread.mean()
    count = float((apart * normaliser).sum() / apart.square().sum().clamp(min=1e-30))
    known = count > 0.0 and math.isfinite(count) and _fits(probe, count, squares, curvature)
    return Recovered(None, None, count, "Gaussian") if known else None


def _count(probe: Probe, squares: Float[Tensor, " B"], curvature: Float[Tensor, "B F"]) -> int | None:
    """What the value was divided by; None for a Gaussian without its constants."""
    for count in probe.divisors:
        if _fits(probe, count, squares, curvature):
            return count
    if close(probe.value, squares, squares.abs()):
        weight = float(curvature.mean())
        for count in probe.divisors:
            if count >= _FEW and any(abs(weight * count - one) < 1e-2 for one in (1.0, 2.0)):
                return count
    return None


def _note(lost: Float[Tensor, " B"], curvature: Float[Tensor, "B F"]) -> tuple[str, ...]:
    nats, std = float(lost.mean()), float(curvature.mean()) ** -0.5
    return (
        f"log_likelihood leaves out the constant of its Gaussian: nll_bound is {abs(nats):.4g} nats too "
        f"{'low' if nats < 0 else 'high'}, and comparable only with bounds that leave it out too; "
        f"gaussian(decode, std={std:.3g}) has it.",
    )
