"""What other methods show of the data: who keeps more dimensions at a better valid bound, nothing was left for none."""

import math
from collections.abc import Callable, Sequence

from lambda_vae.records.read import Row
from lambda_vae.reports.tables import Line

__all__ = ["clearly_better", "dimensions_used", "witness"]


def dimensions_used(line: Line) -> float | None:
    """Return how many dimensions a method's code really has: active units, or directions where there are fewer.

    Args:
        line: A line of a comparison table.
    """
    counts = [line.cell(key).mean for key in ("active_units", "active_directions")]
    known = [count for count in counts if count is not None]
    return min(known, default=None)


def witness(base: Line, others: Sequence[Line], rows_of: Callable[[Line], Sequence[Row]]) -> Line | None:
    """Return the method that shows that the data hold more than another one encodes; None if no method does.

    It has more dimensions in use, and a lower valid bound by more than the error of the two: the standard deviation
    over seeds, or the standard error over examples where there is one seed. Both are measured on the same examples, so
    the error of their difference is smaller than that.

    Args:
        base: The method in question.
        others: Those that may be the witness.
        rows_of: The finished runs of a line.
    """
    used = dimensions_used(base)
    if used is None:
        return None
    more = {line.label: dimensions_used(line) or 0.0 for line in others}
    able = [line for line in others if more[line.label] > used and clearly_better(line, base, rows_of)]
    return max(able, key=lambda line: more[line.label], default=None)


def clearly_better(ours: Line, theirs: Line, rows_of: Callable[[Line], Sequence[Row]]) -> bool:
    """Return whether a method's valid bound is lower than another's by more than the error of the two.

    Args:
        ours: One method.
        theirs: The other.
        rows_of: The finished runs of a line.
    """
    cells = [line.cell("nll_bound") for line in (ours, theirs)]
    errors = [
        _stderr(rows_of(line)) if cell.spread is None else cell.spread
        for line, cell in zip((ours, theirs), cells, strict=True)
    ]
    if cells[0].mean is None or cells[1].mean is None:
        return False
    return cells[1].mean - cells[0].mean > math.hypot(*errors)


def _stderr(rows: Sequence[Row]) -> float:
    """The largest error over examples; infinite where a run has none, so that nothing is claimed."""
    errors = [row.get("nll_bound_stderr") for row in rows]
    return max((math.inf if error is None else float(error) for error in errors), default=math.inf)
