"""Names beside points, where they cover least."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox, BboxBase

__all__ = ["place_labels"]

# Offset in points, horizontal and vertical alignment: above, below, right, left, then the corners.
_PLACES = (
    (0, 7, "center", "bottom"), (0, -7, "center", "top"), (8, 0, "left", "center"), (-8, 0, "right", "center"),
    (6, 6, "left", "bottom"), (-6, 6, "right", "bottom"), (6, -6, "left", "top"), (-6, -6, "right", "top"),
    (0, 19, "center", "bottom"), (0, -19, "center", "top"),
)  # fmt: skip


def place_labels(
    figure: Figure, axis: Axes, points: Sequence[tuple[float, float]], labels: Sequence[str], line: Sequence[int]
) -> None:
    """Write each label beside its point; each in turn takes the place that overlaps points, line and labels least.

    Args:
        figure: The figure; its layout is settled here, before places are compared.
        axis: Where the points are.
        points: x and y in data units.
        labels: One a point.
        line: Indices of the points that a drawn line joins.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    pixels = np.array([axis.transData.transform(point) for point in points]).reshape(-1, 2)
    taken = [Bbox.from_bounds(x - 6, y - 6, 12, 12) for x, y in pixels]
    for start, end in pairwise(line):
        for x, y in np.linspace(pixels[start], pixels[end], 60):
            taken.append(Bbox.from_bounds(x - 2, y - 2, 4, 4))
    inside = axis.get_window_extent(renderer)
    for point, label in zip(points, labels, strict=True):
        candidates = [_candidate(axis, point, label, place) for place in _PLACES]
        boxes = [text.get_window_extent(renderer) for text in candidates]
        costs = [_cost(box, taken, inside) for box in boxes]
        best = costs.index(min(costs))
        taken.append(boxes[best])
        for text in candidates[:best] + candidates[best + 1 :]:
            text.remove()


def _candidate(axis: Axes, point: tuple[float, float], label: str, place: tuple[int, int, str, str]) -> Annotation:
    dx, dy, horizontal, vertical = place
    return axis.annotate(
        label, point, xytext=(dx, dy), textcoords="offset points", ha=horizontal, va=vertical, fontsize=8,
        parse_math=False,
    )  # fmt: skip


def _cost(box: BboxBase, taken: Sequence[BboxBase], inside: BboxBase) -> float:
    return sum(_shared(box, other) for other in taken) + box.width * box.height - _shared(box, inside)


def _shared(one: BboxBase, other: BboxBase) -> float:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(max(0.0, width) * max(0.0, height))
