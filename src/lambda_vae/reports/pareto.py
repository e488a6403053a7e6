"""Which methods nobody beats in both numbers at once: likelihood against what the code is good for."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lambda_vae.records.columns import COLUMNS, Column
from lambda_vae.reports.tables import Cell, Table

__all__ = ["MethodPoint", "Panel", "frontier_panels", "pareto_front"]

_ACROSS, _UPRIGHT = ("active_units", "linear_probe_accuracy"), ("nll_bound", "nll_iw")


@dataclass(frozen=True)
class MethodPoint:
    """One method in one panel.

    Args:
        index: Of the method among the lines of the table; people count from 1.
        x: More is better.
        y: Less is better.
    """

    index: int
    x: Cell
    y: Cell

    @property
    def place(self) -> tuple[float, float]:
        """The two means."""
        return self.x.value, self.y.value


@dataclass(frozen=True)
class Panel:
    """A likelihood against a use of the code.

    Args:
        x: The quantity across.
        y: The quantity upright, in nats.
        points: The methods that have both.
        front: Which of `points` are on the frontier, from left to right.
        above: Methods left out of `points`: so far above the others that these would lie on one line.
    """

    x: Column
    y: Column
    points: tuple[MethodPoint, ...]
    front: tuple[int, ...]
    above: tuple[MethodPoint, ...] = ()

    def titles(self) -> tuple[str, str]:
        """Return what stands along the axes, across and upright."""
        return f"{_AXIS[self.x.key]} (more is better)", f"{_AXIS[self.y.key]}, nats (less is better)"

    def note(self) -> str:
        """Return which methods lie above the picture and where; empty if none."""
        found = ", ".join(f"{point.index + 1} at {point.place[1]:.0f}" for point in self.above)
        return f"above: {found}" if found else ""


_AXIS = {
    "active_units": "active units",
    "linear_probe_accuracy": "linear probe, %",
    "nll_bound": "NLL bound",
    "nll_iw": "importance-weighted NLL",
}


def frontier_panels(table: Table) -> tuple[tuple[Panel, ...], ...]:
    """Return the panels that have points, row by row: a likelihood a row, across active units and probe accuracy.

    Args:
        table: Of a comparison. Data without labels have no probe, and failed runs no point.
    """
    columns = {column.key: column for column in COLUMNS}
    rows = [[_panel(table, columns[x], columns[y]) for x in _ACROSS] for y in _UPRIGHT]
    filled = [tuple(panel for panel in row if panel.points) for row in rows]
    return tuple(row for row in filled if row)


def _panel(table: Table, x: Column, y: Column) -> Panel:
    points = [MethodPoint(index, line.cell(x.key), line.cell(y.key)) for index, line in enumerate(table.lines)]
    points = [point for point in points if point.x.known and point.y.known]
    # Of all methods, not of those with this x: the panels of a row share their axis.
    ceiling = _ceiling(cell.value for line in table.lines if (cell := line.cell(y.key)).known)
    above = [point for point in points if point.place[1] > ceiling]
    points = [point for point in points if point.place[1] <= ceiling]
    places = [point.place for point in points]
    front = pareto_front([place[0] for place in places], [place[1] for place in places])
    return Panel(x, y, tuple(points), tuple(front), tuple(above))


def _ceiling(values: Iterable[float]) -> float:
    """How high a picture of likelihoods reaches: five times as far above the best as the median is.

    It holds all if that would cut off more than a tenth of them, or if the others fill two fifths of its height anyway.
    """
    ranked = sorted(values)
    if not ranked:
        return math.inf
    best, worst = ranked[0], ranked[-1]
    ceiling = best + 5 * (statistics.median(ranked) - best)
    kept = [value for value in ranked if value <= ceiling]
    return ceiling if 10 * len(kept) >= 9 * len(ranked) and kept[-1] - best < 0.4 * (worst - best) else math.inf


def pareto_front(units: Sequence[float], bounds: Sequence[float]) -> list[int]:
    """Return the indices of the points on the frontier, by rising number of active units.

    A point is off the frontier if another has at least as many active units at a bound at least as low, and is better
    in one of the two.

    Args:
        units: Active units, or anything else of which more is better.
        bounds: NLLs in nats, lower is better.

    Example:
        >>> pareto_front([7, 19, 27, 17], [104.6, 94.7, 123.8, 102.2])
        [1, 2]
    """
    points = list(zip(units, bounds, strict=True))
    front = [
        index
        for index, (u, b) in enumerate(points)
        if not any((v >= u and c <= b) and (v > u or c < b) for v, c in points)
    ]
    return sorted(front, key=lambda index: points[index])
