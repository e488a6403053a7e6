"""Figure 2, variance equalization in theory: ways to the attractor, and the optimal exponent."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lambda_vae.paper.claims import IN_PART, Claim, verdict
from lambda_vae.reports.style import COLORS, DASHES, INK, look, name_line, name_panel, new_figure

__all__ = ["CAPTION", "equalization_claims", "equalization_theory_figure"]

CAPTION = (
    "Variance equalization in λ-VAE. (a) Solutions of dσ/dt = σ − λσ^λ for λ = 2 from six starts, and the attractor "
    "σ* = λ^(−1/(λ−1)) of Eq. 13. (b) The optimal exponent of Eq. 16; dots, with δ below them, mark σ_c = √(1 − "
    "1/δ), up to which λ* = 1."
)

_TOP = 8.0


def equalization_theory_figure(record: Mapping[str, Any]) -> Figure:
    """Return Figure 2.

    Args:
        record: Its numbers.

    Source:
        The paper, Figure 2.
    """
    with look():
        figure = new_figure(7.2, 2.9)
        paths, exponents = figure.subplots(1, 2)
        _paths_panel(paths, record)
        _exponent_panel(exponents, record)
    return figure


def _paths_panel(axis: Axes, record: Mapping[str, Any]) -> None:
    target = record["attractor"]
    axis.axhline(target, color=INK, lw=0.8)
    axis.text(record["times"][-1], target + 0.015, f"σ* = {target:g}", color=INK, fontsize=8, ha="right", va="bottom")
    for index, (start, path) in enumerate(zip(record["starts"], record["paths"], strict=True)):
        axis.plot(record["times"], path, color=COLORS[index], linestyle=DASHES[index % len(DASHES)])
        name_line(axis, (0, start), f"{start:.2f}", COLORS[index], (-4, 0))
    axis.set(xlim=(0, record["times"][-1]), ylim=(0, 1), xlabel="time t", ylabel="σ")
    axis.set_yticks([0, 0.5, 1], ["0", "", "1"])
    axis.yaxis.labelpad = 14
    name_panel(axis, "a", f"convergence for λ = {record['exponent']:g}")


def _exponent_panel(axis: Axes, record: Mapping[str, Any]) -> None:
    std = np.array(record["std"])
    for index, (delta, critical, curve) in enumerate(
        zip(record["deltas"], record["critical"], record["curves"], strict=True)
    ):
        color, values = COLORS[index], np.array(curve)
        shown = values <= _TOP + 1
        axis.plot(std[shown], values[shown], color=color, linestyle=DASHES[index])
        axis.plot([critical], [1], color=color, marker="o", markersize=4, linestyle="none", clip_on=False, zorder=3)
        axis.annotate(
            f"{delta:g}",
            (critical, 1),
            (0, -7),
            textcoords="offset points",
            color=color,
            fontsize=8,
            ha="center",
            va="top",
        )
    axis.annotate("δ =", (0.52, 1), (0, -7), textcoords="offset points", color=INK, fontsize=8, va="top")
    axis.set(xlim=(0.5, 1), ylim=(0, _TOP), xlabel="σ", ylabel="optimal exponent λ*")
    name_panel(axis, "b", "optimal exponent")


def equalization_claims(record: Mapping[str, Any]) -> list[Claim]:
    """Return what the paper says of Figure 2 beside what its equations give.

    Args:
        record: Its numbers.
    """
    rate, wanted = record["rates"], record["exponent"] - 1
    std = np.array(record["std"])
    pairs = [
        (np.array(curve)[std < critical], np.array(curve)[std > critical])
        for critical, curve in zip(record["critical"], record["curves"], strict=True)
    ]
    floor = max(float(below.max()) for below, _ in pairs if below.size)
    grows = all(bool(np.all(np.diff(above) >= 0)) and above[-1] > 1 for _, above in pairs)
    return [
        Claim(
            f"All six dimensions converge to σ* = {record['attractor']:g}, whatever their start.",
            f"At t = {record['times'][-1]:g} the farthest is {record['farthest_at_end']:.4f} away.",
            verdict(record["farthest_at_end"] < 0.02),
        ),
        Claim(
            "Convergence is exponential with rate |λ − 1|.",
            f"Rates fitted from t = 8 to 12: {min(rate):.3f} to {max(rate):.3f}; λ − 1 = {wanted:g}.",
            verdict(max(abs(one - wanted) for one in rate) < 0.05),
        ),
        _whole_gradient(record),
        Claim(
            "Below σ_c, λ* = 1; above it λ* increases with σ.",
            f"Largest λ* below σ_c: {floor:.3f}; above σ_c each curve {'rises throughout' if grows else 'has a turn'}. "
            "Eq. 16 grows without bound at σ = 1, so it is cut at λ = 20 here; the noise that λ* leaves is σ_c itself "
            "for every σ above it (Eq. 30).",
            verdict(floor == 1.0 and grows),
        ),
    ]


def _whole_gradient(record: Mapping[str, Any]) -> Claim:
    places = ", ".join(f"{b:.2f} at g = {g:g}" for g, b in zip(record["pulls"], record["balance"], strict=True))
    return Claim(
        "Every dimension is drawn to the same σ*, provided they share the same λ (Section 4.3).",
        "That is so for the correction alone, which this equation isolates, and only where the reconstruction pulls σ "
        "down (g < 0): Eq. 21 with the g > 0 of Appendix B.1 repels from σ*. Where the whole gradient of Eq. 11 "
        f"vanishes, σ is {places}: it depends on the dimension's signal.",
        verdict(max(record["balance"]) - min(record["balance"]) < 0.02, IN_PART),
    )
