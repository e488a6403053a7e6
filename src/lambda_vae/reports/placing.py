"""Names beside points, where they cover least."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

__all__ = ["place_labels"]

# Offset in points, horizontal and vertical alignment: above, below, right, left, then the corners.
_PLACES = (
    (0, 7, "center", "bottom"), (0, -7, "center", "top"), (8, 0, "left", "center"), (-8, 0, "right", "center"),
    (6, 6, "left", "bottom"), (-6, 6, "right", "bottom"), (6, -6, "left", "top"), (-6, -6, "right", "top"),
    (0, 19, "center", "bottom"), (0, -19, "center", "top"),
)  # fmt: skip


def place_labels(figure: Figure, axis: Axes, x: Sequence[float], y: Sequence[float], labels: Sequence[str]) -> None:
    """Write each label beside its point; each in turn takes the place that overlaps points, labels and edge least.

    Args:
        figure: The figure; its layout is settled here, before places are compared.
        axis: Where the points are.
        x: Of the points, in data units.
        y: Of the points.
        labels: One a point.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    points = axis.transData.transform(list(zip(x, y, strict=True))) if x else []
    taken = [Bbox.from_bounds(px - 6, py - 6, 12, 12) for px, py in points]
    inside = axis.get_window_extent(renderer)
    for position, label in enumerate(labels):
        candidates = []
        for dx, dy, horizontal, vertical in _PLACES:
            text = axis.annotate(
                label, (x[position], y[position]), xytext=(dx, dy), textcoords="offset points", ha=horizontal,
                va=vertical, fontsize=8, parse_math=False,
            )  # fmt: skip
            box = text.get_window_extent(renderer)
            outside = box.width * box.height - _shared(box, inside)
            candidates.append((sum(_shared(box, other) for other in taken) + outside, text, box))
        best = min(candidates, key=lambda candidate: candidate[0])
        taken.append(best[2])
        for candidate in candidates:
            if candidate is not best:
                candidate[1].remove()


def _shared(one: Bbox, other: Bbox) -> float:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(max(0.0, width) * max(0.0, height))
