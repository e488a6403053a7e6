"""Figure 2, variance equalization in theory: ways to the attractor, and the optimal exponent."""

from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lambda_vae.equalization import attractor_std, critical_std, optimal_exponent
from lambda_vae.paper.claims import IN_PART, Claim, verdict
from lambda_vae.paper.figure import Numbers, PaperFigure
from lambda_vae.paper.panels import note, rounded, series
from lambda_vae.reports.style import COLORS, INK, name_line, name_panel, new_figure

__all__ = ["FIGURE", "attraction_path"]

Curve = NDArray[np.float64]
_curve = partial(rounded, digits=6)

_EXPONENT, _STARTS = 2.0, (0.10, 0.20, 0.35, 0.65, 0.80, 0.90)
_DELTAS = (2.0, 3.0, 5.0, 10.0)
#: Reconstruction signals g of three dimensions, for what the whole gradient makes of their attractors.
_PULLS = (-0.5, -2.0, -5.0)
#: Of the panel of exponents.
_TOP = 8.0


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


def _numbers() -> dict[str, Any]:
    times = np.linspace(0, 6, 121)
    paths = [attraction_path(times, start, _EXPONENT) for start in _STARTS]
    target = attractor_std(_EXPONENT)
    late = np.linspace(8, 12, 21)  # by then each path is within a thousandth, where the rate shows
    std = np.linspace(0.5, 0.999, 500)
    curves = [np.array([optimal_exponent(float(value), delta) for value in std]) for delta in _DELTAS]
    return {
        "exponent": _EXPONENT,
        "attractor": target,
        "times": _curve(times),
        "starts": list(_STARTS),
        "paths": [_curve(path) for path in paths],
        "farthest_at_end": max(abs(float(path[-1]) - target) for path in paths),
        "rates": [_rate(late, attraction_path(late, start, _EXPONENT) - target) for start in _STARTS],
        "pulls": list(_PULLS),
        "balance": [_balance(pull, _EXPONENT) for pull in _PULLS],
        "std": _curve(std),
        "deltas": list(_DELTAS),
        "critical": [critical_std(delta) for delta in _DELTAS],
        "curves": [_curve(curve) for curve in curves],
    }


def _rate(times: Curve, distance: Curve) -> float:
    return float(-np.polyfit(times, np.log(np.abs(distance)), 1)[0])


def _balance(pull: float, exponent: float) -> float:
    """Where Eq. 11 is zero: lambda sigma^(lambda - 1) g + 1/sigma - sigma = 0, which falls in sigma."""
    from scipy.optimize import brentq

    return float(brentq(lambda std: exponent * std ** (exponent - 1) * pull + 1 / std - std, 1e-6, 1.0, xtol=1e-15))


def _draw(numbers: Numbers) -> Figure:
    figure = new_figure(7.2, 2.9)
    paths, exponents = figure.subplots(1, 2)
    _paths_panel(paths, numbers)
    _exponent_panel(exponents, numbers)
    return figure


def _paths_panel(axis: Axes, numbers: Numbers) -> None:
    target = numbers["attractor"]
    axis.axhline(target, color=INK, lw=0.8)
    axis.text(numbers["times"][-1], target + 0.015, f"σ* = {target:g}", color=INK, fontsize=8, ha="right", va="bottom")
    for index, (start, path) in enumerate(zip(numbers["starts"], numbers["paths"], strict=True)):
        series(axis, numbers["times"], path, index)
        name_line(axis, (0, start), f"{start:.2f}", COLORS[index], (-4, 0))
    axis.set(xlim=(0, numbers["times"][-1]), ylim=(0, 1), xlabel="time t", ylabel="σ")
    axis.set_yticks([0, 0.5, 1], ["0", "", "1"])
    axis.yaxis.labelpad = 14
    name_panel(axis, "a", f"convergence for λ = {numbers['exponent']:g}")


def _exponent_panel(axis: Axes, numbers: Numbers) -> None:
    std = np.array(numbers["std"])
    for index, (delta, critical, curve) in enumerate(
        zip(numbers["deltas"], numbers["critical"], numbers["curves"], strict=True)
    ):
        color, values = COLORS[index], np.array(curve)
        shown = values <= _TOP + 1
        series(axis, std[shown], values[shown], index)
        axis.plot([critical], [1], color=color, marker="o", markersize=4, linestyle="none", clip_on=False, zorder=3)
        note(axis, f"{delta:g}", (critical, 1), (0, -7), color=color, ha="center", va="top")
    note(axis, "δ =", (0.52, 1), (0, -7), color=INK, va="top")
    axis.set(xlim=(0.5, 1), ylim=(0, _TOP), xlabel="σ", ylabel="optimal exponent λ*")
    name_panel(axis, "b", "optimal exponent")


def _claims(numbers: Numbers) -> list[Claim]:
    rate, wanted = numbers["rates"], numbers["exponent"] - 1
    std = np.array(numbers["std"])
    pairs = [
        (np.array(curve)[std < critical], np.array(curve)[std > critical])
        for critical, curve in zip(numbers["critical"], numbers["curves"], strict=True)
    ]
    floor = max(float(below.max()) for below, _ in pairs if below.size)
    grows = all(bool(np.all(np.diff(above) >= 0)) and above[-1] > 1 for _, above in pairs)
    return [
        Claim(
            f"All six dimensions converge to σ* = {numbers['attractor']:g}, whatever their start.",
            f"At t = {numbers['times'][-1]:g} the farthest is {numbers['farthest_at_end']:.4f} away.",
            verdict(numbers["farthest_at_end"] < 0.02),
        ),
        Claim(
            "Convergence is exponential with rate |λ − 1|.",
            f"Rates fitted from t = 8 to 12: {min(rate):.3f} to {max(rate):.3f}; λ − 1 = {wanted:g}.",
            verdict(max(abs(one - wanted) for one in rate) < 0.05),
        ),
        _whole_gradient(numbers),
        Claim(
            "Below σ_c, λ* = 1; above it λ* increases with σ.",
            f"Largest λ* below σ_c: {floor:.3f}; above σ_c each curve {'rises throughout' if grows else 'has a turn'}. "
            "Eq. 16 grows without bound at σ = 1, so it is cut at λ = 20 here; the noise that λ* leaves is σ_c itself "
            "for every σ above it (Eq. 30).",
            verdict(floor == 1.0 and grows),
        ),
    ]


def _whole_gradient(numbers: Numbers) -> Claim:
    places = ", ".join(f"{b:.2f} at g = {g:g}" for g, b in zip(numbers["pulls"], numbers["balance"], strict=True))
    return Claim(
        "Every dimension is drawn to the same σ*, provided they share the same λ (Section 4.3).",
        "That is so for the correction alone, which this equation isolates, and only where the reconstruction pulls σ "
        "down (g < 0): Eq. 21 with the g > 0 of Appendix B.1 repels from σ*. Where the whole gradient of Eq. 11 "
        f"vanishes, σ is {places}: it depends on the dimension's signal.",
        verdict(max(numbers["balance"]) - min(numbers["balance"]) < 0.02, IN_PART),
    )


FIGURE = PaperFigure(
    title="Figure 2: variance equalization in theory",
    caption=(
        "Variance equalization in λ-VAE. (a) Solutions of dσ/dt = σ − λσ^λ for λ = 2 from six starts, and the "
        "attractor σ* = λ^(−1/(λ−1)) of Eq. 13. (b) The optimal exponent of Eq. 16; dots, with δ below them, mark σ_c "
        "= √(1 − 1/δ), up to which λ* = 1."
    ),
    numbers=lambda _: _numbers(),
    drawing=_draw,
    claims=_claims,
)
