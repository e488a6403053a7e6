"""Gaussian mixtures with known components in one or two dimensions: their integrals by quadrature."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions import GaussianMixture, standard_normal
from lambda_vae.errors import InputError

__all__ = [
    "expectation",
    "mixture_entropy",
    "mixture_information",
    "mixture_mismatch",
    "mixture_total_correlation",
    "noisy",
]

#: The rule's grid reaches so many standard deviations beyond the outermost means, and has so many points in one of the
#: narrowest component. The trapezoidal rule converges exponentially for a Gaussian: both errors are below 1e-12.
_REACH, _POINTS = 9.0, 4.0

_MOST_POINTS = 2**23
_AT_ONCE = 2**16


def expectation(law: GaussianMixture, function: Callable[[Float[Tensor, "M D"]], Float[Tensor, " M"]]) -> float:
    """Return E_law[function(z)] by the trapezoidal rule.

    Args:
        law: One mixture in one or two dimensions.
        function: Of points [M, D], float64.

    Raises:
        InputError: More dimensions, or components too narrow for how far apart they are.
    """
    axes = _axes(law)
    total, cell = 0.0, math.prod(float(axis[1] - axis[0]) for axis in axes)
    grid = torch.cartesian_prod(*axes).reshape(-1, len(axes))
    for z in torch.split(grid, _AT_ONCE):
        density = law.log_prob(z).exp()
        inside = density > 0.0
        total += float((density[inside] * function(z[inside])).sum()) * cell
    return total


def _axes(law: GaussianMixture) -> list[Float[Tensor, " G"]]:
    means, std = law.means.double(), torch.exp(0.5 * law.logvars.double())
    if means.ndim != 2 or means.shape[-1] not in (1, 2):
        raise InputError(f"the mixture's means have shape {list(means.shape)}; quadrature needs [M, 1] or [M, 2]")
    low, high = (means - _REACH * std).amin(0), (means + _REACH * std).amax(0)
    counts = ((high - low) / std.amin(0) * _POINTS).ceil().long() + 1
    if int(counts.prod()) > _MOST_POINTS:
        raise InputError(f"quadrature would need {int(counts.prod())} points; give wider components")
    ends = zip(low.tolist(), high.tolist(), counts.tolist(), strict=True)
    return [torch.linspace(first, last, count, dtype=torch.float64) for first, last, count in ends]


def mixture_entropy(law: GaussianMixture) -> float:
    """Return H[Z], differential, in nats.

    Args:
        law: Of z, in one or two dimensions.

    Example:
        >>> one = GaussianMixture(torch.zeros(1, 1), torch.zeros(1, 1))
        >>> round(mixture_entropy(one), 6) == round(0.5 * math.log(2 * math.pi * math.e), 6)
        True
    """
    return expectation(law, lambda z: -law.log_prob(z))


def mixture_information(law: GaussianMixture) -> float:
    """Return what z tells about the component it was drawn from, in nats: I(X;Z) for X uniform on N examples.

    Args:
        law: q(z), one component an example.
    """
    within = 0.5 * (law.logvars.double() + 1.0 + math.log(2.0 * math.pi)).sum(-1).mean()
    return mixture_entropy(law) - float(within)


def mixture_mismatch(law: GaussianMixture) -> float:
    """Return KL(law || N(0, I)) in nats.

    Args:
        law: q(z).
    """
    prior = standard_normal(law.means.shape[-1], law.means.double())
    return expectation(law, lambda z: law.log_prob(z) - prior.log_prob(z))


def mixture_total_correlation(law: GaussianMixture) -> float:
    """Return KL(law || product of its marginals) in nats.

    Args:
        law: q(z), in two dimensions.
    """
    columns = zip(torch.split(law.means, 1, -1), torch.split(law.logvars, 1, -1), strict=True)
    return sum(mixture_entropy(GaussianMixture(*column)) for column in columns) - mixture_entropy(law)


def noisy(law: GaussianMixture, std: float) -> GaussianMixture:
    """Return the law of mu + std * eps where mu has the given law: the channel whose signal is a mixture.

    Its I(mu;Z) is `mixture_entropy` of this less D/2 ln(2 pi e std^2).

    Args:
        law: Of mu.
        std: Noise, > 0.
    """
    return GaussianMixture(law.means, torch.log(law.logvars.exp() + std * std))
