"""Pareto k-hat: how heavy the tail of importance weights is, and whether their mean may be believed."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["khat", "khat_limit", "pareto_shape", "tail_length"]

#: Fewer exceedances than these say nothing about a tail.
_LEAST_TAIL = 5


def tail_length(samples: int) -> int:
    """Return how many of the largest weights the fit looks at: the least of a fifth of K and 3 sqrt(K).

    Example:
        >>> tail_length(64), tail_length(5000)
        (13, 213)
    """
    return math.ceil(min(0.2 * samples, 3.0 * math.sqrt(samples)))


def khat_limit(samples: int) -> float:
    """Return the k-hat from which a mean of so many weights is not to be believed: 0.7, less for few samples.

    Source:
        Vehtari et al. 2024, "Pareto smoothed importance sampling", JMLR 25(72), Eq. 13: min(1 - 1/log10(K), 0.7).

    Example:
        >>> khat_limit(5000), round(khat_limit(100), 2)
        (0.7, 0.5)
    """
    return min(1.0 - 1.0 / math.log10(samples), 0.7) if samples > 1 else -math.inf


def khat(largest: Float[Tensor, "M1 B"], samples: int) -> Float[Tensor, " B"]:
    """Return the Pareto k-hat of importance weights, [B]; no unit.

    Below 1/2 the weights have a finite variance, below 1 a finite mean, as far as the draws show. -inf where the tail
    is flat, NaN where there are too few samples to see one, or a weight is NaN.

    Args:
        largest: The M + 1 largest ln w, in any order, M = `tail_length(samples)`; the least of them is where the tail
            begins.
        samples: K they are the largest of.

    Source:
        Vehtari et al. 2024, JMLR 25(72), sections 2.2 and 3.
    """
    log_w = largest.double().sort(0).values
    if len(log_w) <= _LEAST_TAIL or samples < 2:
        return torch.full_like(log_w[-1], torch.nan)
    weights = torch.exp(log_w - log_w[-1])
    fitted = pareto_shape(weights[1:] - weights[0])
    flat = log_w[-1] - log_w[0] < 1e-9
    return torch.where(flat, -torch.inf, fitted)


def pareto_shape(exceedances: Float[Tensor, "M B"]) -> Float[Tensor, " B"]:
    r"""Return the shape k of the generalised Pareto law that fits each column, [B]; no unit.

    The density is (1 + k x / s)^(-1/k - 1) / s. The mean of k is taken over a profile posterior, drawn towards 1/2 with
    the weight of 10 observations.

    Args:
        exceedances: x > 0 in ascending order.

    Source:
        Zhang and Stephens 2009, "A new and efficient estimation method for the generalized Pareto distribution",
        Eq. 4 to 9, k with the opposite sign; Vehtari et al. 2024, Appendix C, for what draws k towards 1/2.
    """
    x, n = exceedances, len(exceedances)
    grid = 30 + math.isqrt(n)
    j = torch.arange(1, grid + 1, dtype=x.dtype, device=x.device)[:, None]
    quartile = x[int(n / 4 + 0.5) - 1]
    theta = 1.0 / x[-1] + (1.0 - torch.sqrt(grid / (j - 0.5))) / (3.0 * quartile)
    log_profile = torch.stack([_log_profile(one, x) for one in theta])
    best = (theta * log_profile.softmax(0)).sum(0)
    shape = torch.log1p(-best * x).mean(0)
    return (n * shape + 10 * 0.5) / (n + 10)


def _log_profile(theta: Float[Tensor, " B"], x: Float[Tensor, "M B"]) -> Float[Tensor, " B"]:
    """Log likelihood at theta = -k / s, the shape at its best there."""
    shape = torch.log1p(-theta * x).mean(0)
    return len(x) * (torch.log(-theta / shape) - shape - 1.0)
