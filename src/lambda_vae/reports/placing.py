"""Names next to points, where they cover least."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox, BboxBase

__all__ = ["Label", "place_labels"]

# Offset in points, horizontal and vertical alignment: above, below, right, left, then the corners.
_PLACES = (
    (0, 7, "center", "bottom"), (0, -7, "center", "top"), (8, 0, "left", "center"), (-8, 0, "right", "center"),
    (6, 6, "left", "bottom"), (-6, 6, "right", "bottom"), (6, -6, "left", "top"), (-6, -6, "right", "top"),
    (0, 19, "center", "bottom"), (0, -19, "center", "top"),
)  # fmt: skip


@dataclass(frozen=True)
class Label:
    """A name and the point it belongs to.

    Args:
        text: Not read as mathematics.
        x: In data units.
        y: Likewise.
        color: Of the text.
    """

    text: str
    x: float
    y: float
    color: str = "black"


def place_labels(
    figure: Figure,
    axis: Axes,
    labels: Sequence[Label],
    line: Sequence[int],
    spreads: Sequence[tuple[float | None, float | None]] = (),
) -> None:
    """Write each label next to its point; each in turn takes the place that overlaps all that is drawn least.

    Args:
        figure: The figure; its layout is settled here, before places are compared.
        axis: Where the points are.
        labels: One a point.
        line: Indices of the points that a drawn line joins.
        spreads: Half lengths of the bars through each point, across and upright, in data units.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    taken = _drawn(axis, labels, line, spreads)
    inside = axis.get_window_extent(renderer)
    for label in labels:
        candidates = [_candidate(axis, label, place) for place in _PLACES]
        boxes = [text.get_window_extent(renderer) for text in candidates]
        costs = [_cost(box, taken, inside) for box in boxes]
        best = costs.index(min(costs))
        taken.append(boxes[best])
        for text in candidates[:best] + candidates[best + 1 :]:
            text.remove()


def _drawn(
    axis: Axes, labels: Sequence[Label], line: Sequence[int], spreads: Sequence[tuple[float | None, float | None]]
) -> list[BboxBase]:
    """Boxes around points, the line and the bars."""
    pixels = np.array([axis.transData.transform((label.x, label.y)) for label in labels]).reshape(-1, 2)
    taken: list[BboxBase] = [Bbox.from_bounds(x - 6, y - 6, 12, 12) for x, y in pixels]
    for start, end in pairwise(line):
        for x, y in np.linspace(pixels[start], pixels[end], 60):
            taken.append(Bbox.from_bounds(x - 2, y - 2, 4, 4))
    for label, (across, upright) in zip(labels, spreads, strict=False):
        for dx, dy in ((across or 0.0, 0.0), (0.0, upright or 0.0)):
            ends = axis.transData.transform([(label.x - dx, label.y - dy), (label.x + dx, label.y + dy)])
            taken.append(Bbox(ends).padded(2))
    return taken


def _candidate(axis: Axes, label: Label, place: tuple[int, int, str, str]) -> Annotation:
    dx, dy, horizontal, vertical = place
    return axis.annotate(
        label.text, (label.x, label.y), xytext=(dx, dy), textcoords="offset points", ha=horizontal, va=vertical,
        fontsize=8, color=label.color, parse_math=False,
    )  # fmt: skip


def _cost(box: BboxBase, taken: Sequence[BboxBase], inside: BboxBase) -> float:
    return sum(_shared(box, other) for other in taken) + box.width * box.height - _shared(box, inside)


def _shared(one: BboxBase, other: BboxBase) -> float:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(max(0.0, width) * max(0.0, height))
