"""The numbers of Figures 1 and 2: curves of the theory, without any training."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_vae.diagnostics.information import REFERENCE_STD
from lambda_vae.equalization import attractor_std, critical_std, optimal_exponent

__all__ = ["attraction_path", "causes_record", "channel_information", "decay_ratio", "equalization_record"]

Curve = NDArray[np.float64]

G0, ALPHAS = 2.0, (0.5, 1.0, 1.5, 2.0, 3.0)
SIGNAL_POWER = 1.5
EXPONENT, STARTS = 2.0, (0.10, 0.20, 0.35, 0.65, 0.80, 0.90)
DELTAS = (2.0, 3.0, 5.0, 10.0)
#: Reconstruction signals g of three dimensions, for what the whole gradient makes of their attractors.
PULLS = (-0.5, -2.0, -5.0)


def decay_ratio(std: Curve, alpha: float, g0: float = G0) -> Curve:
    r"""Return rho where the reconstruction gradient is g_0 (1 - sigma)^alpha; no unit.

    .. math:: \rho = g_0 (1 - \sigma)^\alpha / (1/\sigma - \sigma) = g_0 (1 - \sigma)^{\alpha - 1} \sigma / (1 + \sigma)

    Args:
        std: sigma, between 0 and 1.
        alpha: Decay exponent.
        g0: The gradient's size at sigma = 0.

    Source:
        The paper, Figure 1a and Eq. A.3.

    Example:
        >>> float(decay_ratio(np.array([0.5]), alpha=1.0)[0]) == 2 * 0.5 / 1.5
        True
    """
    return g0 * (1 - std) ** (alpha - 1) * std / (1 + std)


def channel_information(std: Curve, signal_power: float | Curve) -> Curve:
    """Return the information of a Gaussian channel of this signal power and noise, in nats.

    Args:
        std: sigma, of the noise.
        signal_power: S, the variance of mu over the data.

    Source:
        The paper, Eq. 7.

    Example:
        >>> round(float(channel_information(np.array([1.0]), 1.0)[0]), 4)
        0.3466
    """
    return 0.5 * np.log1p(signal_power / std**2)


def attraction_path(times: Curve, start: float, exponent: float) -> Curve:
    r"""Return sigma(t) from `start` under d sigma/dt = sigma - lambda sigma^lambda, solved exactly.

    It is Bernoulli's equation: with u = sigma^(1 - lambda), u' = (1 - lambda)(u - lambda).

    Args:
        times: t >= 0.
        start: sigma at t = 0.
        exponent: lambda > 1.

    Source:
        The paper, Figure 2a and Eq. 13.

    Example:
        >>> round(float(attraction_path(np.array([50.0]), 0.9, 2.0)[0]), 6)
        0.5
    """
    left = (start ** (1 - exponent) - exponent) * np.exp((1 - exponent) * times)
    path: Curve = (exponent + left) ** (1 / (1 - exponent))
    return path


def causes_record() -> dict[str, Any]:
    """Return the numbers of Figure 1: the gradient ratio under the decay model, and a channel's information."""
    std = np.linspace(0.005, 0.995, 199)
    fine = np.linspace(1e-6, 1 - 1e-9, 2_000_001)
    ratios = [
        {
            "alpha": alpha,
            "ratio": _rounded(decay_ratio(std, alpha)),
            "at_collapse": float(decay_ratio(np.array([1 - 1e-9]), alpha)[0]),
            "peak": float(decay_ratio(fine, alpha).max()),
            "crosses_one_at": _crossing(fine, decay_ratio(fine, alpha)),
            "g0_of_an_active_state": float(G0 / decay_ratio(fine, alpha).max()) if alpha > 1 else None,
        }
        for alpha in ALPHAS
    ]
    held, matched = channel_information(std, SIGNAL_POWER), -np.log(std)
    encoded = float(channel_information(np.array([REFERENCE_STD]), SIGNAL_POWER)[0])
    encoded_matched = -math.log(REFERENCE_STD)
    seen = std >= REFERENCE_STD
    return {
        "std": _rounded(std),
        "g0": G0,
        "ratios": ratios,
        "signal_power": SIGNAL_POWER,
        "reference_std": REFERENCE_STD,
        "encoded": encoded,
        "channel_std": _rounded(std[seen]),
        "information": _rounded(held[seen]),
        "gap": _rounded(encoded - held[seen]),
        "attenuation": _rounded(held[seen] / encoded),
        "attenuation_matched": _rounded(matched[seen] / encoded_matched),
        "information_at_collapse": float(channel_information(np.array([1.0]), SIGNAL_POWER)[0]),
    }


def _crossing(std: Curve, ratio: Curve) -> float | None:
    """The sigma at which rho comes to 1, None where it stays below."""
    above = np.flatnonzero(ratio >= 1)
    return float(std[above[0]]) if above.size else None


def equalization_record() -> dict[str, Any]:
    """Return the numbers of Figure 2: ways to sigma*, and lambda*(sigma, delta)."""
    times = np.linspace(0, 6, 121)
    paths = [attraction_path(times, start, EXPONENT) for start in STARTS]
    target = attractor_std(EXPONENT)
    late = np.linspace(8, 12, 21)  # by then each path is within a thousandth, where the rate shows
    std = np.linspace(0.5, 0.999, 500)
    curves = [np.array([optimal_exponent(float(value), delta) for value in std]) for delta in DELTAS]
    return {
        "exponent": EXPONENT,
        "attractor": target,
        "times": _rounded(times),
        "starts": list(STARTS),
        "paths": [_rounded(path) for path in paths],
        "farthest_at_end": max(abs(float(path[-1]) - target) for path in paths),
        "rates": [_rate(late, attraction_path(late, start, EXPONENT) - target) for start in STARTS],
        "pulls": list(PULLS),
        "balance": [_balance(pull, EXPONENT) for pull in PULLS],
        "std": _rounded(std),
        "deltas": list(DELTAS),
        "critical": [critical_std(delta) for delta in DELTAS],
        "curves": [_rounded(curve) for curve in curves],
    }


def _rate(times: Curve, distance: Curve) -> float:
    return float(-np.polyfit(times, np.log(np.abs(distance)), 1)[0])


def _balance(pull: float, exponent: float) -> float:
    """Where Eq. 11 is zero: lambda sigma^(lambda - 1) g + 1/sigma - sigma = 0, which falls in sigma."""
    from scipy.optimize import brentq

    return float(brentq(lambda std: exponent * std ** (exponent - 1) * pull + 1 / std - std, 1e-6, 1.0, xtol=1e-15))


def _rounded(values: Curve, digits: int = 6) -> list[float]:
    return [float(f"{value:.{digits}g}") for value in values]
