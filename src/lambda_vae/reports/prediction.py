"""What a loss leaves alive, drawn and as a table, from the record of a prediction."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from rich.table import Table

from lambda_vae.reports.style import COLORS, DASHES, INK, look, name_panel, new_figure, save_figure

__all__ = ["draw_prediction", "prediction_table"]

#: What becomes of a direction: its colour and mark.
_FATES = {
    "survives": (COLORS[0], "o"),
    "lost to the KL weight": (COLORS[1], "s"),
    "lost to the noise": (COLORS[4], "D"),
    "no dimension left for it": (COLORS[5], "x"),
    "no signal": (COLORS[7], "v"),
}


def draw_prediction(record: Mapping[str, Any], path: Path) -> Path:
    """Draw survivors against noise (the KL weight under a Bernoulli likelihood) and the data's eigenvalues.

    Returns:
        The path.

    Raises:
        InputError: Another ending.
    """
    with look():
        figure = new_figure(7.2, 3.0)
        survivors, spectrum = figure.subplots(1, 2)
        _survivors_panel(survivors, record)
        _spectrum_panel(spectrum, record)
    return save_figure(figure, path)


def _directions(record: Mapping[str, Any]) -> Shaped[np.ndarray, "..."]:
    """Eigenvalues that are more than rounding."""
    values: Shaped[np.ndarray, ...] = np.array(record["eigenvalues"])
    return values[: int((values > 1e-12 * values[0]).sum())]


def _survivors_panel(axis: Axes, record: Mapping[str, Any]) -> None:
    gaussian, values = record["likelihood"] == "gaussian", _directions(record)
    needed = np.sqrt(values / record["kl_weight"]) if gaussian else values
    needed = needed[: record["latent_dim"]]
    asked = record["noise_std"] if gaussian else record["kl_weight"]
    fits = record["noise_std_that_fits"] or asked
    # Where no number of dimensions was given, directions within the data's own noise are not worth the width.
    last = needed[min(len(needed), max(record["standing_out"], 1)) - 1]
    left, right = min(last, asked, fits) / 1.5, max(needed[0], asked, fits) * 1.5
    axis.step([0.1 * left, *needed[::-1], right], [*range(len(needed), -1, -1), 0], where="post", color=COLORS[0])
    axis.set(xscale="log", xlim=(left, right), ylim=(0, 1.1 * max(int((needed > left).sum()), 1)))
    axis.set(
        xlabel="noise std s of the decoder" if gaussian else "KL weight β", ylabel="latent dimensions that survive"
    )
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if right < 60 * left else (1.0,)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    _mark(axis, asked, f"this loss: {record['survivors']}", INK, "-", 0.96)
    if gaussian and record["noise_std_that_fits"] and not np.isclose(fits, asked):
        _mark(axis, fits, "noise that fits", COLORS[2], DASHES[1], 0.06)
    name_panel(axis, "a", f"survivors at KL weight {record['kl_weight']:.3g}" if gaussian else "survivors")


def _mark(axis: Axes, place: float, text: str, color: str, dash: object, height: float) -> None:
    """A line from floor to ceiling with its name on the side that has more room."""
    low, high = np.log(axis.get_xlim())
    side = "right" if np.log(place) > 0.5 * (low + high) else "left"
    axis.axvline(place, color=color, lw=1.0, linestyle=dash)
    axis.annotate(
        text, (place, height), (-4 if side == "right" else 4, 0), xycoords=("data", "axes fraction"),
        textcoords="offset points", color=color, fontsize=8, ha=side, va="center",
    )  # fmt: skip


def _spectrum_panel(axis: Axes, record: Mapping[str, Any]) -> None:
    values = _directions(record)
    rank = np.arange(1, len(values) + 1)
    fates = _fates(values, record)
    for name, (color, marker) in _FATES.items():
        chosen = fates == name
        if chosen.any():
            axis.plot(rank[chosen], values[chosen], marker, ms=3.2, color=color, label=name, lw=0)
    noise_var, threshold = _noise_var(record), record["threshold"]
    axis.axhline(threshold, color=INK, lw=1.0)
    if threshold > noise_var:
        axis.axhline(noise_var, color=INK, lw=1.0, linestyle=DASHES[2])
    if record["latent_dim"] is not None and record["latent_dim"] < len(values):
        axis.axvline(record["latent_dim"] + 0.5, color=INK, lw=0.8, linestyle=DASHES[1])
    axis.set(xscale="log", yscale="log", xlabel="direction of the data, the strongest first", ylabel="variance")
    axis.xaxis.set_major_formatter("{x:g}")
    if values[0] < 100 * values[-1]:
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter(NullFormatter())
    axis.legend(loc="lower left", handletextpad=0.3)
    name_panel(axis, "b", f"a variance above {threshold:.3g} survives")


def _noise_var(record: Mapping[str, Any]) -> float:
    """s^2; the features of a Bernoulli are in units where it is 1."""
    return float(record["noise_std"] ** 2) if record["likelihood"] == "gaussian" else 1.0


def _fates(values: Shaped[np.ndarray, "..."], record: Mapping[str, Any]) -> Shaped[np.ndarray, "..."]:
    rank, dims = np.arange(len(values)), len(values) if record["latent_dim"] is None else record["latent_dim"]
    above = values > record["threshold"]
    cases = {
        "no dimension left for it": above & (rank >= dims),
        "survives": above,
        "no signal": rank >= record["standing_out"],
        "lost to the KL weight": values > _noise_var(record),
    }
    return np.select(list(cases.values()), list(cases), "lost to the noise")


def prediction_table(record: Mapping[str, Any]) -> Table:
    """Return what it takes for so many dimensions to survive, one row a number of them, for the terminal."""
    gaussian = record["likelihood"] == "gaussian"
    table = Table(title="What it takes for so many latent dimensions to survive")
    table.add_column("survivors", justify="right")
    if gaussian:
        table.add_column("noise std below", justify="right")
    table.add_column("or KL weight below" if gaussian else "KL weight below", justify="right")
    table.add_column("variance in their directions", justify="right")
    for row in record["by_noise"]:
        noise = [f"{row['noise_std']:.4g}"] if gaussian else []
        style = "bold" if row["survivors"] <= record["survivors"] else ""
        table.add_row(str(row["survivors"]), *noise, f"{row['kl_weight']:.4g}", f"{row['variance']:.1%}", style=style)
    return table
