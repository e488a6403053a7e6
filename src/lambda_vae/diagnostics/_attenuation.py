r"""The attenuation factor of Proposition 2: how much of what the encoder writes the decoder can read.

.. math:: c = \frac{\partial I(X;Z)}{\partial I(X;\phi)} = 1 - \frac{\partial \Delta I}{\partial I(X;\phi)}
          \approx \frac{I(X;Z)}{I(X;\phi)}

I(X; phi) itself is infinite for a deterministic encoder, so both sides are the capacity of Eq. 7: for Z at the noise
that is really sampled, for phi at a stated reference noise sigma_0. The paper takes derivative and quotient for equal;
they are measured apart here, because they are not.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from lambda_vae.diagnostics.activity import ACTIVE_THRESHOLD
from lambda_vae.diagnostics.decay import cluster_slope
from lambda_vae.diagnostics.information import REFERENCE_STD
from lambda_vae.errors import InputError
from lambda_vae.estimation.estimate import Estimate, plain

__all__ = ["Attenuation", "attenuation"]

_LEAST = 1e-3


@dataclass(frozen=True)
class Attenuation:
    """c in both readings.

    Args:
        quotient: I(X;Z)/I(X;phi) at the end, summed over the dimensions.
        active: The same over active dimensions alone.
        collapsed: Over collapsed ones.
        slope: dI(X;Z)/dI(X;phi) along training, from the steps of every dimension between epochs.
        through: I(X;Z) at the end, nats.
        encoded: I(X;phi) at the end, nats.
        reference_std: sigma_0.
    """

    quotient: Estimate
    active: Estimate
    collapsed: Estimate
    slope: Estimate
    through: float
    encoded: float
    reference_std: float

    def to_record(self) -> dict[str, Any]:
        """Return plain data."""
        return plain(self)


def attenuation(
    signal_power: Float[np.ndarray, "E D"],
    noise: Float[np.ndarray, "E D"],
    reference_std: float = REFERENCE_STD,
) -> Attenuation:
    """Return c of a training.

    Args:
        signal_power: S over the epochs.
        noise: sigma_eff over the epochs.
        reference_std: sigma_0 > 0.

    Returns:
        Quotient and slope, no unit; standard errors take the dimensions as independent. NaN with a reason where the
        encoder carries less than 0.001 nats, and where noise below sigma_0 makes a quotient exceed 1, which data
        processing forbids; marked where some dimension gets less noise than sigma_0. The slope may exceed 1: the noise
        changes in training as well, which A.10 does not say.

    Raises:
        InputError: sigma_0 is not positive.

    Source:
        The paper, Proposition 2, Eq. 6, 7 and A.10.

    Example:
        >>> c = attenuation(np.array([[0.5], [1.0]]), np.array([[0.5], [0.5]]))
        >>> round(c.quotient.value, 3), round(c.slope.value, 3)
        (0.349, 0.748)
    """
    if not reference_std > 0.0:
        raise InputError(f"the reference noise is {reference_std}; it must be greater than 0")
    through, encoded = 0.5 * np.log1p(signal_power / noise**2), 0.5 * np.log1p(signal_power / reference_std**2)
    active = signal_power[-1] > ACTIVE_THRESHOLD
    parts = {"quotient": np.ones_like(active), "active": active, "collapsed": ~active}
    quotients = {
        name: _quotient(through[-1][part], encoded[-1][part], noise[-1][part], reference_std)
        for name, part in parts.items()
    }
    return Attenuation(
        **quotients,
        slope=_slope(through, encoded),
        through=float(through[-1].sum()),
        encoded=float(encoded[-1].sum()),
        reference_std=reference_std,
    )


def _quotient(
    through: NDArray[np.float64], encoded: NDArray[np.float64], noise: NDArray[np.float64], reference_std: float
) -> Estimate:
    """The quotient of two sums, with the delta method's error over the dimensions."""
    count, carried = len(through), float(encoded.sum())
    if not carried > _LEAST:  # also if it is NaN
        return Estimate.unknown(f"the encoder carries {carried:.2g} nats; a share of nothing is undefined", "")
    value, sharp = float(through.sum()) / carried, int((noise < reference_std).sum())
    mark = f"{sharp} of {count} dimensions get less noise than sigma_0 = {reference_std:g}" if sharp else ""
    if value > 1.0:
        return Estimate.unknown(f"{mark}; give a smaller reference", "")
    variance = count / (count - 1) * float(((through - value * encoded) ** 2).sum()) if count > 1 else float("nan")
    return Estimate(value, variance**0.5 / carried, "", mark)


def _slope(through: NDArray[np.float64], encoded: NDArray[np.float64]) -> Estimate:
    dy, dx = np.diff(through, axis=0), np.diff(encoded, axis=0)
    known = np.isfinite(dx) & np.isfinite(dy)
    if not np.any(dx[known] ** 2 > 1e-12):
        return Estimate.unknown("what the encoder carries did not change between epochs", "")
    who = np.broadcast_to(np.arange(dx.shape[1]), dx.shape)[known]
    value, stderr, _ = cluster_slope(dx[known], dy[known], who, intercept=False)
    return Estimate(value, stderr, "")
