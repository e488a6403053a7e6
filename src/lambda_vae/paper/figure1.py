"""Figure 1, the causes of collapse: the gradient ratio under the decay model, and the information of a channel."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lambda_vae.diagnostics.information import REFERENCE_STD
from lambda_vae.paper.claims import DIFFERS, IN_PART, Claim, verdict
from lambda_vae.paper.figure import Numbers, PaperFigure
from lambda_vae.paper.panels import rounded, series
from lambda_vae.reports.style import COLORS, INK, name_line, name_panel, new_figure

__all__ = ["FIGURE", "channel_information", "decay_ratio"]

Curve = NDArray[np.float64]
_curve = partial(rounded, digits=6)

_G0, _ALPHAS, _SIGNAL_POWER = 2.0, (0.5, 1.0, 1.5, 2.0, 3.0), 1.5


def decay_ratio(std: Curve, alpha: float, g0: float = _G0) -> Curve:
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


def _numbers() -> dict[str, Any]:
    std = np.linspace(0.005, 0.995, 199)
    fine = np.linspace(1e-6, 1 - 1e-9, 2_000_001)
    ratios = [
        {
            "alpha": alpha,
            "ratio": _curve(decay_ratio(std, alpha)),
            "at_collapse": float(decay_ratio(np.array([1 - 1e-9]), alpha)[0]),
            "peak": float(decay_ratio(fine, alpha).max()),
            "crosses_one_at": _crossing(fine, decay_ratio(fine, alpha)),
            "g0_of_an_active_state": float(_G0 / decay_ratio(fine, alpha).max()) if alpha > 1 else None,
        }
        for alpha in _ALPHAS
    ]
    held, matched = channel_information(std, _SIGNAL_POWER), -np.log(std)
    encoded = float(channel_information(np.array([REFERENCE_STD]), _SIGNAL_POWER)[0])
    encoded_matched = -math.log(REFERENCE_STD)
    seen = std >= REFERENCE_STD
    return {
        "std": _curve(std),
        "g0": _G0,
        "ratios": ratios,
        "signal_power": _SIGNAL_POWER,
        "reference_std": REFERENCE_STD,
        "encoded": encoded,
        "channel_std": _curve(std[seen]),
        "information": _curve(held[seen]),
        "gap": _curve(encoded - held[seen]),
        "attenuation": _curve(held[seen] / encoded),
        "attenuation_matched": _curve(matched[seen] / encoded_matched),
        "information_at_collapse": float(channel_information(np.array([1.0]), _SIGNAL_POWER)[0]),
    }


def _crossing(std: Curve, ratio: Curve) -> float | None:
    """The sigma at which rho comes to 1, None where it stays below."""
    above = np.flatnonzero(ratio >= 1)
    return float(std[above[0]]) if above.size else None


def _draw(numbers: Numbers) -> Figure:
    """The paper, Figure 1. Deviation: c has a panel of its own, and a second curve."""
    figure = new_figure(7.2, 2.6)
    ratio, information, attenuation = figure.subplots(1, 3)
    _ratio_panel(ratio, numbers)
    _information_panel(information, numbers)
    _attenuation_panel(attenuation, numbers)
    return figure


def _ratio_panel(axis: Axes, numbers: Numbers) -> None:
    std = np.array(numbers["std"])
    shown = std <= 0.98
    axis.axhline(1, color=INK, lw=0.8)
    for index, line in enumerate(numbers["ratios"]):
        ratio = np.array(line["ratio"])[shown]
        series(axis, std[shown], ratio, index)
        name_line(axis, (0.98, ratio[-1]), f"α = {line['alpha']:g}", COLORS[index])
    axis.set(yscale="log", xlim=(0, 1), ylim=(3e-4, 20), xlabel="σ", ylabel="gradient ratio ρ")
    name_panel(axis, "a", "gradient imbalance")


def _information_panel(axis: Axes, numbers: Numbers) -> None:
    std = numbers["channel_std"]
    axis.axhline(numbers["encoded"], color=INK, lw=0.8)
    axis.text(0.98, numbers["encoded"] + 0.05, "I(X;φ)", color=INK, fontsize=8, ha="right", va="bottom")
    middle = len(std) // 2
    for index, (key, name, rise) in enumerate((("information", "I(X;Z)", 9), ("gap", "ΔI", -9))):
        series(axis, std, numbers[key], index)
        name_line(axis, (std[middle], numbers[key][middle]), name, COLORS[index], (4, rise))
    axis.set(xlim=(0, 1), ylim=(0, 1.2 * numbers["encoded"]), xlabel="σ", ylabel="nats")
    name_panel(axis, "b", "information gap")


def _attenuation_panel(axis: Axes, numbers: Numbers) -> None:
    std = numbers["channel_std"]
    lines = (
        ("attenuation", f"S = {numbers['signal_power']:g}", (6, 8)),
        ("attenuation_matched", "S = 1 − σ²", (-6, -8)),
    )
    for index, (key, name, shift) in enumerate(lines):
        series(axis, std, numbers[key], index)
        name_line(axis, (std[len(std) // 2], numbers[key][len(std) // 2]), name, COLORS[index], shift)
    axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="σ", ylabel="attenuation c")
    name_panel(axis, "c", "what reaches z")


def _claims(numbers: Numbers) -> list[Claim]:
    steep = [line for line in numbers["ratios"] if line["alpha"] > 1]
    flat = [line for line in numbers["ratios"] if line["alpha"] < 1]
    return [_vanishes(steep), _sole_state(steep, numbers["g0"]), *map(_stays_above, flat), *_information(numbers)]


def _vanishes(steep: list[Mapping[str, Any]]) -> Claim:
    seen = ", ".join(f"{line['at_collapse']:.1e} at α = {line['alpha']:g}" for line in steep)
    return Claim(
        "For α > 1, ρ → 0 as σ → 1.",
        f"At σ = 1 − 10⁻⁹: {seen}.",
        verdict(all(line["at_collapse"] < 1e-3 for line in steep)),
    )


def _sole_state(steep: list[Mapping[str, Any]], g0: float) -> Claim:
    peaks = ", ".join(f"{line['peak']:.2f} at α = {line['alpha']:g}" for line in steep)
    needed = ", ".join(f"{line['g0_of_an_active_state']:.1f} at α = {line['alpha']:g}" for line in steep)
    return Claim(
        "For α > 1 the collapsed state is the only stable fixed point.",
        f"True at the figure's g₀ = {g0:g}, where ρ nowhere comes to 1 (highest: {peaks}). It is no consequence of "
        f"α > 1: from g₀ = {needed} on, there is an active fixed point with ρ = 1 as well as the collapsed one.",
        IN_PART if all(line["peak"] < 1 for line in steep) else DIFFERS,
    )


def _stays_above(line: Mapping[str, Any]) -> Claim:
    return Claim(
        "For α < 1, ρ stays above 1 even when the dimension has collapsed (caption); no collapse occurs (A.1).",
        f"At α = {line['alpha']:g}, ρ passes 1 at σ = {line['crosses_one_at']:.2f} and grows without bound from there "
        f"({line['at_collapse']:.0f} at σ = 1 − 10⁻⁹), so the reconstruction drives σ back from 1: A.1 is "
        "right, and the caption's collapsed dimension with ρ > 1 cannot stay where it is.",
        IN_PART,
    )


def _information(numbers: Numbers) -> list[Claim]:
    left, encoded = numbers["information_at_collapse"], numbers["encoded"]
    matched = numbers["attenuation_matched"][-1]
    falls = bool(np.all(np.diff(numbers["information"]) < 0) and np.all(np.diff(numbers["gap"]) > 0))
    return [
        Claim(
            "As σ grows towards 1, I(X;Z) falls and ΔI grows.",
            f"I(X;Z) falls from {numbers['information'][0]:.2f} to {numbers['information'][-1]:.2f} nats, ΔI grows "
            f"from {numbers['gap'][0]:.2f} to {numbers['gap'][-1]:.2f}, both without a turn.",
            verdict(falls),
        ),
        Claim(
            "ΔI grows towards I(X;φ), and c → 0.",
            f"Not with the signal power held at S = {numbers['signal_power']:g}: at σ = 1 the channel still carries "
            f"{left:.3f} nats and c = {left / encoded:.2f}. It needs S to vanish as well, as S = 1 − σ² does "
            f"(c = {matched:.3f} at σ = {numbers['channel_std'][-1]:g}).",
            verdict(left < 0.01, IN_PART),
        ),
    ]


FIGURE = PaperFigure(
    title="Figure 1: the causes of posterior collapse",
    caption=(
        "Posterior collapse causes. (a) Gradient ratio ρ under the decay model g = g₀(1 − σ)^α, g₀ = 2; above the "
        "line ρ = 1 the reconstruction holds σ down, below it the KL term wins. (b) Gaussian channel with signal "
        "power S = 1.5: I(X;Z) and the gap ΔI = I(X;φ) − I(X;Z). I(X;φ) of a deterministic encoder is infinite; it is "
        "taken at the reference noise σ₀ = 0.1, and the curves begin there. (c) Attenuation c = I(X;Z)/I(X;φ), with S "
        "held at 1.5 and with the S = 1 − σ² that a matched marginal implies."
    ),
    numbers=lambda _: _numbers(),
    drawing=_draw,
    claims=_claims,
)
