"""Which methods nobody beats in both numbers at once."""

from collections.abc import Sequence

__all__ = ["pareto_front"]


def pareto_front(units: Sequence[float], bounds: Sequence[float]) -> list[int]:
    """Return the indices of the points on the frontier, by rising number of active units.

    A point is off the frontier if another has at least as many active units at a bound at least as low, and is better
    in one of the two.

    Args:
        units: Active units, more is better.
        bounds: NLL bounds in nats, lower is better.

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
