r"""Which law p(x|z) is, read off its own gradient.

A Bernoulli's log p is linear in x with the logits for slope; a Gaussian's is quadratic, with slope (m - x)/s^2 and
curvature -1/s^2. So two gradients give the parameters, and the law's own normaliser says whether what the callable
returned is its log density or a multiple of it:

.. math:: \log p(x) = \sum_j x_j l_j - \mathrm{softplus}(l_j), \qquad
          \log p(x) = -\tfrac12 \sum_j \bigl(g_j^2 / h_j - \ln h_j + \ln 2\pi\bigr)

With the parameters in hand, what the used dimensions leave in the data can be measured as for our own models. A law
that is neither is left alone.

Source:
    Ours.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions import Bernoulli, DiagGaussian
from lambda_vae.distributions.likelihood import Observation

__all__ = ["Recovered", "recovered_law"]

#: How far float32 may be off, relative to the numbers compared.
_TOLERANCE = 2e-3


@dataclass(frozen=True, eq=False)
class Recovered:
    """p(x|z) with its parameters.

    Args:
        decoder: z -> theta, [N, F]; None where only the scale of the value could be told.
        likelihood: theta -> p(x|z), likewise.
        averaged_over: How many numbers the callable's value was divided by; 1 is a log density.
    """

    decoder: Callable[[Tensor], Tensor] | None
    likelihood: Callable[[Tensor], Observation] | None
    averaged_over: int = 1


def recovered_law(
    log_likelihood: Callable[[Tensor, Tensor], Tensor],
    x: Float[Tensor, "B ..."],
    z: Tensor,
    as_latent: Callable[[Tensor], Tensor],
) -> Recovered | None:
    """Return the law behind a log-likelihood, or None where it is neither of the two, or not differentiable in x.

    Args:
        log_likelihood: (x, z) -> log p(x|z), [B].
        x: Examples; at least two that differ.
        z: Their codes, as the callable takes them.
        as_latent: Rows [N, D] to codes, for the decoder of the result.
    """
    if not x.is_floating_point() or len(x) < 2:
        return None
    other = x.roll(1, 0)
    try:
        value, slope = _slope(log_likelihood, x, z)
        elsewhere = _slope(log_likelihood, other, z)[1]
    except (RuntimeError, ValueError):
        return None
    scale = float(slope.abs().mean())
    if not math.isfinite(scale) or scale == 0.0:
        return None
    if float((slope - elsewhere).abs().mean()) < 1e-3 * scale:
        return _bernoulli(log_likelihood, x, value, slope, as_latent)
    return _gaussian(log_likelihood, x, z, value, slope, as_latent)


def _slope(function: Callable[[Tensor, Tensor], Tensor], x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Log p(x|z), float64 [B], and d log p(x|z)/dx, [B, F]."""
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        value = function(leaf, z.detach())
        slope: Tensor = torch.autograd.grad(value.sum(), leaf)[0]
    return value.detach().double(), slope.flatten(1)


def _averaged(value: Tensor, features: int, predicted: Callable[[int], Tensor]) -> int | None:
    """The count that makes `count * value` a log density: 1, F, or none of both."""
    for count in (1, features):
        expected = predicted(count)
        error = (count * value - expected).abs().mean()
        if float(error) <= _TOLERANCE * float(expected.abs().mean().clamp(min=1.0)):
            return count
    return None


def _bernoulli(
    function: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    value: Tensor,
    slope: Tensor,
    as_latent: Callable[[Tensor], Tensor],
) -> Recovered | None:
    flat, template = x.flatten(1).double(), x[:1]
    if float(flat.min()) < 0.0 or float(flat.max()) > 1.0:
        return None

    def log_p(count: int) -> Tensor:
        logits = count * slope.double()
        return (flat * logits - F.softplus(logits)).sum(1)

    count = _averaged(value, flat.shape[1], log_p)
    if count is None:
        return None

    def logits(rows: Tensor) -> Tensor:
        return _slope(function, template.expand(len(rows), *template.shape[1:]), as_latent(rows))[1]

    return Recovered(logits, Bernoulli, count)


def _gaussian(
    function: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    z: Tensor,
    value: Tensor,
    slope: Tensor,
    as_latent: Callable[[Tensor], Tensor],
) -> Recovered | None:
    step = max(float(x.std()), 1e-3)
    try:
        up, down = (_slope(function, x + shift, z)[1] for shift in (step, -step))
    except (RuntimeError, ValueError):
        return None
    curvature = (down - up).double() / (2.0 * step)
    bend = (up + down - 2.0 * slope).abs().double().mean() / step
    if not bool((curvature > 0.0).all()) or float(bend) > 1e-2 * float(curvature.mean()):
        return None
    quadratic = -0.5 * (slope.double().square() / curvature).sum(1)
    normaliser = 0.5 * (curvature.log() - math.log(2.0 * math.pi)).sum(1)
    features = slope.shape[1]
    count = _averaged(value, features, lambda c: c * quadratic + normaliser + 0.5 * features * math.log(c))
    if count is None:
        count = _mean_squared(value, quadratic, curvature)
    if count is None:
        return None
    precision = curvature.mean(0).to(slope.dtype)
    if float((curvature - precision).abs().max()) > 1e-2 * float(precision.min()):
        return Recovered(None, None, count)  # its noise hangs on z, which the search for what is left has no room for
    template, logvar = x[:1], -precision.log()

    def theta(rows: Tensor) -> Tensor:
        at = template.expand(len(rows), *template.shape[1:])
        return at.flatten(1) + _slope(function, at, as_latent(rows))[1] / precision

    return Recovered(theta, lambda theta: DiagGaussian(theta, logvar), count)


def _mean_squared(value: Tensor, quadratic: Tensor, curvature: Tensor) -> int | None:
    """A squared error without its constants: averaged where its weight is 1/F or 2/F, else somebody's Gaussian."""
    features = curvature.shape[1]
    if float((value - quadratic).abs().mean()) > _TOLERANCE * float(quadratic.abs().mean()):
        return None
    weight = float((curvature * features).mean())
    mean = features >= 8 and any(abs(weight - one) < 1e-2 for one in (1.0, 2.0))
    return features if mean else 1
