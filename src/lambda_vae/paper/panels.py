"""What several figures share: their runs as plain data, a panel for each data set, and strips of images."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from torch import Tensor

from lambda_vae.paper.figure import Comparisons
from lambda_vae.records.read import RunRecord
from lambda_vae.reports.images import grid
from lambda_vae.reports.style import COLORS, DASHES
from lambda_vae.runs.results import training_length

__all__ = ["all_runs", "identity_of", "note", "panels_of", "rounded", "runs_of_figure", "series", "strip"]

#: Words at a place, so many printer's points away from it.
note = partial(Axes.annotate, textcoords="offset points", fontsize=8)


def all_runs(comparisons: Comparisons) -> list[RunRecord]:
    """Return the runs on all data."""
    return [run for record in comparisons.values() for run in record.runs]


def identity_of(run: RunRecord) -> dict[str, Any]:
    """Return what a figure names a run by."""
    label = run.label.removesuffix(f", {training_length(run.row.epochs or 0)}")  # which a table of several lengths adds
    keys = ("run", "method", "delta", "beta", "seed", "epochs")
    return {"label": label, **{key: getattr(run.row, key) for key in keys}}


def runs_of_figure(runs: Iterable[RunRecord]) -> list[RunRecord]:
    """Return the runs that came through and have a history of their dimensions."""
    return [run for run in runs if not run.failed and run.track("std_mean").size]


def panels_of(comparisons: Comparisons, read: Callable[[RunRecord], Mapping[str, Any]]) -> dict[str, Any]:
    """Return a panel for each data set, with what a figure reads of each of its runs."""
    return {
        "panels": [
            {
                "data": Path(name).stem,
                "runs": [{**identity_of(run), **read(run)} for run in runs_of_figure(record.runs)],
            }
            for name, record in comparisons.items()
        ]
    }


def rounded(values: Tensor | NDArray[np.floating] | Sequence[float], digits: int = 5) -> list[float]:
    """Return numbers of one axis as a record holds them, with so many digits of each."""
    return [float(f"{float(value):.{digits}g}") for value in values]


def series(axis: Axes, x: Any, y: Any, index: int, **style: Any) -> None:  # noqa: ANN401 - as matplotlib takes them
    """Draw a series in the colour and the dashes of its place among others, so that it is told apart without colour."""
    axis.plot(x, y, color=COLORS[index], **{"linestyle": DASHES[index % len(DASHES)], **style})


def strip(axis: Axes, label: str, images: Any) -> None:  # noqa: ANN401 - nested lists, or an array
    """Draw images, [n, H, W] or [n, H, W, 3], in a row with their name: grey as ink on paper, colours as they are."""
    images = np.array(images, np.uint8)
    paper = 0 if images.ndim == 3 else 255
    row = grid(images, len(images), max(1, images.shape[1] // 14), paper)
    axis.imshow(row, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
    axis.grid(False)
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set_visible(False)
    axis.set_ylabel(label.replace("$", r"\$"), rotation=0, ha="right", va="center", fontsize=8)
