"""The data of the page's plots, as small plain values: thinned histories, histograms, columns by dimension."""

import base64
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_vae.equalization.theory import optimal_exponent
from lambda_vae.records.columns import Column
from lambda_vae.records.read import ComparisonRecord, RunRecord
from lambda_vae.reports.causes import causes_of
from lambda_vae.reports.pareto import Panel, frontier_panels
from lambda_vae.reports.style import COLORS
from lambda_vae.reports.tables import Cell, Table

__all__ = ["BIN_EDGES", "DIMENSION_COLUMNS", "exponent_curve", "page_data", "std_histogram", "thin"]

BIN_EDGES = np.arange(44) * 0.025 - 0.0125
"""Bins of a σ histogram, one of them centred on 1; what lies above the last edge is counted in the last bin."""

DIMENSION_COLUMNS: tuple[tuple[str, str, int, str], ...] = (
    ("kl", "KL", 3, "KL of this dimension's posterior from the prior, nats; at 0 it carries nothing"),
    ("std_mean", "σ", 3, "mean posterior standard deviation; 1 is the prior's"),
    ("std_spread", "std of σ", 3, "standard deviation of σ over examples"),
    ("exponent", "λ", 2, "noise exponent; 1 is the plain VAE"),
    ("sampling_std", "noise", 3, "standard deviation of the noise that z is sampled with, σ^λ under λ-VAE"),
    (
        "signal_power",
        "signal power",
        3,
        "variance of the posterior mean over examples; above 0.01 the dimension is active",
    ),
    ("gradient_ratio", "ρ", 3, "gradient of the reconstruction on σ over that of the KL term; 1 is balance"),
    ("gradient_ratio_stderr", "± ρ", 3, "standard error of ρ"),
    ("snr_capacity", "SNR capacity", 3, "information that this dimension can carry through its noise, nats"),
    ("snr_capacity_predicted", "capacity predicted", 3, "the SNR capacity that δ predicts, nats"),
    ("capacity_lost", "capacity lost", 3, "SNR capacity lost to the sampling noise, nats"),
    ("decoder_capacity", "decoder capacity", 3, "RMS gradient of the decoder with respect to this dimension"),
    ("bound_gain", "bound gain", 3, "nats by which this dimension improves the bound on these data; it harms below 0"),
    ("bound_gain_stderr", "± bound gain", 3, "standard error of the bound gain"),
)
"""Key, heading, digits and meaning of the columns shown for each dimension."""

_TRACKS = ("std_mean", "exponent", "kl")
_TRACK_BUDGET = 6_000_000  # characters of per-dimension tracks in one page
_MOST_EPOCHS = 100


def thin(count: int, most: int) -> list[int]:
    """Return at most `most` of the indices 0 .. count - 1, evenly spread, the first and the last among them.

    Example:
        >>> thin(9, 3)
        [0, 4, 8]
    """
    return sorted({round(float(i)) for i in np.linspace(0, count - 1, min(count, most))}) if count else []


def exponent_curve(delta: float | None, points: int = 160) -> tuple[list[float], list[float]]:
    """Return Eq. 16 as a curve: σ from 0.01 to 0.999, and λ for it.

    Args:
        delta: The trade-off; None is the plain VAE, whose λ is 1 everywhere.
        points: Length of both lists.

    Source:
        Paper, Eq. 16 with λ between 1 and 20.
    """
    std = [float(value) for value in np.linspace(0.01, 0.999, points)]
    return std, [1.0 if delta is None else float(optimal_exponent(value, delta)) for value in std]


def std_histogram(std: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many dimensions have a σ in each bin of `BIN_EDGES`; those without one are in none."""
    counts: NDArray[np.int64] = np.histogram(np.clip(std[np.isfinite(std)], 0, BIN_EDGES[-1] - 1e-9), BIN_EDGES)[0]
    return counts


def page_data(record: ComparisonRecord, table: Table) -> dict[str, Any]:
    """Return everything the page's script draws, ready for JSON (no NaN, no infinities)."""
    runs = [run for run in record.runs if not run.failed]
    labels = [line.label for line in table.lines]
    each = sum(_TRACK_BUDGET // (len(runs) * len(_TRACKS) * 3 * max(run.row.latent_dim or 0, 1)) for run in runs[:1])
    return {
        "labels": labels,
        "colors": list(COLORS),
        "edges": _numbers(BIN_EDGES, 4),
        "columns": [dict(zip(("key", "title", "digits", "hint"), column, strict=True)) for column in DIMENSION_COLUMNS],
        "causes": causes_of(str(cause) for run in runs for cause in run.dimensions.get("cause") or () if cause),
        "panels": [_panel(panel) for row in frontier_panels(table) for panel in row],
        "runs": [_run(run, labels.index(run.label), min(_MOST_EPOCHS, max(each, 12))) for run in runs],
    }


def _panel(panel: Panel) -> dict[str, Any]:
    across, upright = panel.titles()

    def pair(cell: Cell, column: Column) -> list[float | None]:
        return [None if value is None else value * column.scale for value in (cell.mean, cell.spread)]

    return {
        "titles": [across, upright],
        "note": panel.note(),
        "above": [point.index for point in panel.above],
        "points": [
            {
                "index": point.index,
                "x": pair(point.x, panel.x),
                "y": pair(point.y, panel.y),
                "front": place in panel.front,
            }
            for place, point in enumerate(panel.points)
        ],
    }


def _run(run: RunRecord, index: int, most: int) -> dict[str, Any]:
    epochs: Sequence[float] = run.history.get("epochs") or []
    kept = thin(len(epochs), most)
    std, exponent = run.track("std_mean"), run.track("exponent")
    curve_std, curve_exponent = exponent_curve(run.row.delta)
    return {
        "label": run.label,
        "index": index,
        "seed": run.row.seed,
        "name": run.row.run,
        "epochs": [epochs[i] for i in kept],
        "histograms": [std_histogram(std[i]).tolist() for i in kept] if std.size else [],
        "bands": {"std_mean": _band(std, kept), "exponent": _band(exponent, kept)},
        "tracks": {name: _packed(run.track(name)[kept]) for name in _TRACKS if run.track(name).size},
        "dims": {key: _numbers(run.column(key), 5) for key, *_ in DIMENSION_COLUMNS if run.column(key).size},
        "verdict": list(run.dimensions.get("verdict") or []),
        "cause": list(run.dimensions.get("cause") or []),
        "explanations": [str(text) for text in run.row.explanations or []],
        "curve": {"std": _numbers(curve_std, 4), "exponent": _numbers(curve_exponent, 4)},
        "delta": run.row.delta,
        "series": _series(run),
    }


def _series(run: RunRecord) -> dict[str, Any]:
    epochs = run.history.get("epochs") or []
    kept = thin(len(epochs), 400)
    names = [key for key, values in run.history.items() if key not in ("epochs", "test", "dimensions") and values]
    series = {key: [_number(run.history[key][i], 5) for i in kept] for key in names}
    tests = run.history.get("test") or []
    keys = sorted({key for line in tests for key in line if key != "epoch"})
    return {
        "epochs": [epochs[i] for i in kept],
        "train": series,
        "testEpochs": [line.get("epoch") for line in tests],
        "test": {key: [_number(line.get(key), 5) for line in tests] for key in keys},
    }


def _band(track: NDArray[np.float64], kept: Sequence[int]) -> dict[str, list[float | None]]:
    if not track.size:
        return {}
    chosen = track[kept]
    return {"mean": _numbers(chosen.mean(1), 5), "spread": _numbers(chosen.std(1), 5)}


def _packed(track: NDArray[np.float64]) -> dict[str, Any]:
    """A track [E, D] as 16-bit steps between its extremes, base64, dimension after dimension: smaller than JSON."""
    finite = np.where(np.isfinite(track), track, 0.0).T
    low, high = float(finite.min()), float(finite.max())
    step = (high - low) / 65535 or 1.0
    steps = np.round((finite - low) / step).astype("<u2")
    return {"low": low, "step": step, "data": base64.b64encode(np.ascontiguousarray(steps).tobytes()).decode("ascii")}


def _number(value: float | None, digits: int) -> float | None:
    """`value` to so many significant digits; None where JSON has no number for it."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")


def _numbers(values: Iterable[float], digits: int) -> list[float | None]:
    return [_number(float(value), digits) for value in values]
