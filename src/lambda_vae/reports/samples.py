"""What a model generates, sampler by sampler: a table for the terminal, and a figure of the samples."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from lambda_vae.reports.images import grid
from lambda_vae.reports.side_by_side import with_error
from lambda_vae.reports.style import look, new_figure

__all__ = ["generation_notes", "generation_table", "samples_figure"]

_SHARES = ("precision", "recall", "density", "coverage")


def generation_table(record: Mapping[str, Any]) -> Table:
    """Return precision, recall, density, coverage and ELBO of each sampler, each with its standard error."""
    references = list(record["elbo_of_measured"])
    table = Table(title=escape(f"What {record['run']} generates: {record['n']} samples of each sampler"))
    table.add_column("sampler")
    for heading in (*_SHARES, *(f"ELBO under {escape(reference)}" for reference in references), "log density of codes"):
        table.add_column(heading, justify="right")
    for row in record["rows"]:
        shares = (with_error(row[name], 3) for name in _SHARES)
        scores = (with_error(row["elbo"][reference], 2) for reference in references)
        table.add_row(escape(row["name"]), *shares, *scores, with_error(row["code_log_density"], 2))
    scores = (with_error(record["elbo_of_measured"][reference], 2) for reference in references)
    table.add_row(f"({escape(record['measured_on'])} data)", *[""] * len(_SHARES), *scores, "")
    return table


def generation_notes(record: Mapping[str, Any]) -> list[str]:
    """Return what must stand with the table: the space, how each sampler came about, what speaks against values."""
    space = f"Distances in {record['space']}, {record['neighbours']} neighbours, against {record['n']} "
    notes = [
        f"{space}{record['measured_on']} examples. x is drawn from p(x|z). ELBO and log density in nats per example."
    ]
    for row in record["rows"]:
        notes.append("; ".join((f"{row['name']}: {row['note']}", *row["remarks"])))
    return notes


def samples_figure(groups: Mapping[str, NDArray[np.uint8]]) -> Figure:
    """Return sheets of images next to each other, one square panel a group.

    Args:
        groups: By title, [n, H, W] or [n, H, W, 3].
    """
    with look():
        figure = new_figure(2.2 * len(groups), 2.4)
        for axis, (title, images) in zip(
            figure.subplots(1, len(groups), squeeze=False)[0], groups.items(), strict=True
        ):
            sheet = grid(images, columns=math.isqrt(len(images) - 1) + 1)
            axis.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axis.set_title(title)
            axis.set_axis_off()
    return figure
