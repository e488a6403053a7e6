"""Figure 1, the causes of collapse: the gradient ratio under the decay model, and the information of a channel."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lambda_vae.paper.claims import IN_PART, Claim, verdict
from lambda_vae.reports.style import COLORS, DASHES, INK, look, name_line, name_panel, new_figure

__all__ = ["CAPTION", "causes_claims", "causes_figure"]

CAPTION = (
    "Posterior collapse causes. (a) Gradient ratio ρ under the decay model g = g₀(1 − σ)^α, g₀ = 2; above the line "
    "ρ = 1 the reconstruction holds σ down, below it the KL term wins. (b) Gaussian channel with signal power S = 1.5: "
    "I(X;Z) and the gap ΔI = I(X;φ) − I(X;Z). I(X;φ) of a deterministic encoder is infinite; it is taken at the "
    "reference noise σ₀ = 0.1, and the curves begin there. (c) Attenuation c = I(X;Z)/I(X;φ), with S held at 1.5 and "
    "with the S = 1 − σ² that a matched marginal implies."
)


def causes_figure(record: Mapping[str, Any]) -> Figure:
    """Return Figure 1.

    Args:
        record: Its numbers.

    Source:
        The paper, Figure 1. Deviation: c has a panel of its own, and a second curve.
    """
    with look():
        figure = new_figure(7.2, 2.6)
        ratio, information, attenuation = figure.subplots(1, 3)
        _ratio_panel(ratio, record)
        _information_panel(information, record)
        _attenuation_panel(attenuation, record)
    return figure


def _ratio_panel(axis: Axes, record: Mapping[str, Any]) -> None:
    std = np.array(record["std"])
    shown = std <= 0.98
    axis.axhline(1, color=INK, lw=0.8)
    for index, line in enumerate(record["ratios"]):
        ratio = np.array(line["ratio"])[shown]
        axis.plot(std[shown], ratio, color=COLORS[index], linestyle=DASHES[index])
        name_line(axis, (0.98, ratio[-1]), f"α = {line['alpha']:g}", COLORS[index])
    axis.set(yscale="log", xlim=(0, 1), ylim=(3e-4, 20), xlabel="σ", ylabel="gradient ratio ρ")
    name_panel(axis, "a", "gradient imbalance")


def _information_panel(axis: Axes, record: Mapping[str, Any]) -> None:
    std = record["channel_std"]
    axis.axhline(record["encoded"], color=INK, lw=0.8)
    axis.text(0.98, record["encoded"] + 0.05, "I(X;φ)", color=INK, fontsize=8, ha="right", va="bottom")
    middle = len(std) // 2
    for index, (key, name) in enumerate((("information", "I(X;Z)"), ("gap", "ΔI"))):
        axis.plot(std, record[key], color=COLORS[index], linestyle=DASHES[index])
        name_line(axis, (std[middle], record[key][middle]), name, COLORS[index], (4, 9 if key == "information" else -9))
    axis.set(xlim=(0, 1), ylim=(0, 1.2 * record["encoded"]), xlabel="σ", ylabel="nats")
    name_panel(axis, "b", "information gap")


def _attenuation_panel(axis: Axes, record: Mapping[str, Any]) -> None:
    std = record["channel_std"]
    lines = (
        ("attenuation", f"S = {record['signal_power']:g}", (6, 8)),
        ("attenuation_matched", "S = 1 − σ²", (-6, -8)),
    )
    for index, (key, name, shift) in enumerate(lines):
        axis.plot(std, record[key], color=COLORS[index], linestyle=DASHES[index])
        name_line(axis, (std[len(std) // 2], record[key][len(std) // 2]), name, COLORS[index], shift)
    axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="σ", ylabel="attenuation c")
    name_panel(axis, "c", "what reaches z")


def causes_claims(record: Mapping[str, Any]) -> list[Claim]:
    """Return what the paper says of Figure 1 beside what its own model gives.

    Args:
        record: Its numbers.
    """
    steep = [line for line in record["ratios"] if line["alpha"] > 1]
    flat = [line for line in record["ratios"] if line["alpha"] < 1]
    return [_vanishes(steep), _sole_state(steep, record["g0"]), *map(_stays_above, flat), *_information(record)]


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
        f"α > 1: from g₀ = {needed} on, an active fixed point with ρ = 1 stands beside the collapsed one.",
        verdict(False, IN_PART) if all(line["peak"] < 1 for line in steep) else verdict(False),
    )


def _stays_above(line: Mapping[str, Any]) -> Claim:
    return Claim(
        "For α < 1, ρ stays above 1 even when the dimension has collapsed (caption); no collapse occurs (A.1).",
        f"At α = {line['alpha']:g}, ρ passes 1 at σ = {line['crosses_one_at']:.2f} and grows without bound from there "
        f"({line['at_collapse']:.0f} at σ = 1 − 10⁻⁹), so the reconstruction drives σ back from 1: A.1 is "
        "right, and the caption's collapsed dimension with ρ > 1 cannot stay where it is.",
        IN_PART,
    )


def _information(record: Mapping[str, Any]) -> list[Claim]:
    left, encoded = record["information_at_collapse"], record["encoded"]
    matched = record["attenuation_matched"][-1]
    falls = bool(np.all(np.diff(record["information"]) < 0) and np.all(np.diff(record["gap"]) > 0))
    return [
        Claim(
            "As σ grows towards 1, I(X;Z) falls and ΔI grows.",
            f"I(X;Z) falls from {record['information'][0]:.2f} to {record['information'][-1]:.2f} nats, ΔI grows from "
            f"{record['gap'][0]:.2f} to {record['gap'][-1]:.2f}, both without a turn.",
            verdict(falls),
        ),
        Claim(
            "ΔI grows towards I(X;φ), and c → 0.",
            f"Not with the signal power held at S = {record['signal_power']:g}: at σ = 1 the channel still carries "
            f"{left:.3f} nats and c = {left / encoded:.2f}. It needs S to vanish as well, as S = 1 − σ² does "
            f"(c = {matched:.3f} at σ = {record['channel_std'][-1]:g}).",
            verdict(left < 0.01, IN_PART),
        ),
    ]
