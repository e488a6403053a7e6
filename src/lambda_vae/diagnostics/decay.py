r"""How the reconstruction's pull fades as a dimension collapses: the decay exponent of Proposition 1.

.. math:: |g_i| = g_0\,(1 - \sigma_i)^\alpha \quad\text{as } \sigma_i \to 1^-

The paper does not say along which path sigma goes to 1. Here it is the path that training took. The answer depends on
that: with the decoder held fixed, g tends to minus its mean curvature in z_i, which is not 0, so alpha = 0 there
(`docs/propositions.md`); while sigma keeps up with a decoder that fades, |g| = (1/sigma - sigma) and alpha = 1.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from lambda_vae.estimation.estimate import Estimate, plain

__all__ = ["DecayExponent", "cluster_slope", "decay_exponent"]

#: Where 1/sigma - sigma is still 2(1 - sigma) to an eighth (A.4).
FARTHEST = 0.2

_POINTS, _DIMENSIONS, _SPAN = 20, 5, 3.0


@dataclass(frozen=True)
class DecayExponent:
    """alpha, and where it was fitted.

    Args:
        alpha: With a standard error that takes the dimensions as independent, not the epochs of one.
        excess: The slope of ln rho over the same points, which is alpha less the slope that |g| = 1/sigma - sigma has
            there: alpha - 1 in the limit, without the curvature of that force.
        scale: g_0; nats per unit of noise.
        nearest: The smallest 1 - sigma of the fit.
        farthest: The largest.
        points: How many epochs of dimensions.
        dimensions: How many dimensions.
    """

    alpha: Estimate
    excess: Estimate
    scale: float
    nearest: float
    farthest: float
    points: int
    dimensions: int

    @property
    def regime(self) -> str:
        """Which case of Appendix A.1 alpha is in, by three standard errors of the excess; empty if not known."""
        if not self.alpha.known:
            return ""
        away = self.excess.value / max(self.excess.stderr, 1e-12)
        return "alpha > 1" if away > 3 else "alpha < 1" if away < -3 else "alpha = 1"

    def to_record(self) -> dict[str, Any]:
        """Return plain data."""
        return {**plain(self), "regime": self.regime}


def decay_exponent(
    distance: Float[np.ndarray, " N"],
    pull: Float[np.ndarray, " N"],
    dimension: Int[np.ndarray, " N"],
    *,
    nearest: float = 0.0,
    farthest: float = FARTHEST,
) -> DecayExponent:
    """Return alpha, the slope of ln|g| over ln(1 - sigma), by least squares.

    Args:
        distance: 1 - sigma, one an epoch of a dimension; others than positive ones are left out.
        pull: |g| at the same moments, likewise.
        dimension: Which dimension each belongs to.
        nearest: Points nearer to collapse are left out: where a dimension has come to rest, only the optimiser's jitter
            is left of it.
        farthest: Points farther away are left out, for alpha is about the limit.

    Returns:
        The fit. alpha is NaN with a reason where there are fewer than 20 points or 5 dimensions, or where the distances
        span less than a factor of 3.

    Source:
        The paper, Proposition 1 and A.1. Standard error: the sandwich of Liang and Zeger 1986, one cluster a dimension.

    Example:
        >>> u = np.tile(np.geomspace(0.01, 0.1, 10), 5)
        >>> fit = decay_exponent(u, 3 * u**1.5, np.repeat(np.arange(5), 10))
        >>> round(fit.alpha.value, 3), round(fit.scale, 3), fit.regime
        (1.5, 3.0, 'alpha > 1')
    """
    inside = (distance > max(nearest, 0.0)) & (distance <= farthest) & (pull > 0.0) & np.isfinite(pull)
    u, g, who = distance[inside], pull[inside], dimension[inside]
    points, dimensions = len(u), len(np.unique(who))
    ends = (float(u.min()), float(u.max())) if points else (math.nan, math.nan)
    reason = _too_little(points, dimensions, ends, max(nearest, 0.0), farthest)
    if reason:
        gone = Estimate.unknown(reason, "")
        return DecayExponent(gone, gone, math.nan, *ends, points, dimensions)
    slope, stderr, offset = cluster_slope(np.log(u), np.log(g), who)
    excess = Estimate(*cluster_slope(np.log(u), np.log(g / (1 / (1 - u) - (1 - u))), who)[:2], "")
    return DecayExponent(Estimate(slope, stderr, ""), excess, math.exp(offset), *ends, points, dimensions)


def _too_little(points: int, dimensions: int, ends: tuple[float, float], nearest: float, farthest: float) -> str:
    where = f"between 1 - sigma = {nearest:.3g} and {farthest:.3g}"
    if nearest * _SPAN > farthest:
        return f"the dimensions came to rest too far from 1: {where} there is no power law to see"
    if points < _POINTS or dimensions < _DIMENSIONS:
        return f"only {points} epochs of {dimensions} dimensions lie {where}; a fit wants {_POINTS} of {_DIMENSIONS}"
    if ends[1] < _SPAN * ends[0]:
        return f"1 - sigma spans only {ends[0]:.3g} to {ends[1]:.3g}; a power law wants a factor of {_SPAN:g}"
    return ""


def cluster_slope(
    x: Float[np.ndarray, " N"],
    y: Float[np.ndarray, " N"],
    cluster: Int[np.ndarray, " N"],
    *,
    intercept: bool = True,
) -> tuple[float, float, float]:
    """Return slope, its standard error and the intercept of y over x; errors may be alike within a cluster.

    Args:
        x: Regressor.
        y: Response.
        cluster: Which points belong together; independent of one another. The error is NaN for a single one.
        intercept: Fit one; else the line goes through 0.
    """
    columns = np.stack((x, np.ones_like(x)), 1) if intercept else x[:, None]
    bread = np.linalg.pinv(columns.T @ columns)
    line = bread @ (columns.T @ y)
    _, index = np.unique(cluster, return_inverse=True)
    count = int(index.max()) + 1
    scores = np.zeros((count, columns.shape[1]))
    np.add.at(scores, index, columns * (y - columns @ line)[:, None])
    few = count / (count - 1) * (len(x) - 1) / (len(x) - columns.shape[1]) if count > 1 else math.nan
    variance = few * (bread @ scores.T @ scores @ bread)[0, 0]
    return float(line[0]), math.sqrt(variance) if count > 1 else math.nan, float(line[1]) if intercept else 0.0
