"""What to take, worked out from the records alone: best bound, best representation, best trade.

Only `nll_bound` and `nll_iw` count as likelihoods here; the surrogate has no say.
"""

import math
from collections.abc import Sequence

from lambda_vae.records.read import Row
from lambda_vae.reports.measured import measured_on
from lambda_vae.reports.pareto import known, pareto_front
from lambda_vae.reports.tables import WAITING, Cell, Line, comparison_table
from lambda_vae.reports.verdict import name_of

__all__ = ["WITHIN", "advice"]

WITHIN = 1.0
"""Nats of the best likelihood that the best trade may cost."""

_NAMES = {"nll_iw": "importance-weighted NLL", "nll_bound": "NLL bound"}


def advice(rows: Sequence[Row], within: float = WITHIN) -> tuple[str, ...]:
    """Return what the runs recommend, a few plain sentences: best bound, best representation, best trade.

    The best bound is the lowest mean. The best representation has the most active units, then the best probe. The best
    trade has the most active units of the methods on the frontier within `within` nats of the best `nll_iw` (of
    `nll_bound` where no run has the other).

    Args:
        rows: One a run; those that failed or are still to come are left out, and counted in the last sentence.
        within: Nats.

    Returns:
        The sentences; what cannot be told, for want of numbers or of a second method, is said.

    Example:
        >>> row = {"run": "a", "method": "vae", "label": "VAE", "status": "done", "nll_bound": 104.6, "active_units": 7}
        >>> advice([row])
        ('Only one method has results: there is nothing to choose between.',)
    """
    return (*_choices(rows, within), *_left_out(rows))


def _choices(rows: Sequence[Row], within: float) -> list[str]:
    done = [row for row in rows if row["status"] == "done"]
    lines = [line for line in comparison_table(done).lines if known(line.cell("nll_bound"))]
    if not lines:
        return ["No run has a result: there is nothing to recommend."]
    if len(lines) == 1:
        return ["Only one method has results: there is nothing to choose between."]
    if measured_on(done) == "mixed":
        return [
            "Some runs were measured on a validation split and others on the test set: nothing can be recommended "
            "from both; measure all on the same."
        ]
    likelihood = [key for key in _NAMES if any(known(line.cell(key)) for line in lines)]
    best = {key: _lowest(lines, key) for key in likelihood}
    sentences = _bounds(lines, best)
    sentences += _representation(lines)
    sentences += _trade(lines, likelihood[0], best[likelihood[0]], within)
    return [*sentences, _caution(done)]


def _lowest(lines: Sequence[Line], key: str) -> Line:
    return min((line for line in lines if known(line.cell(key))), key=lambda line: _mean(line, key))


def _bounds(lines: Sequence[Line], best: dict[str, Line]) -> list[str]:
    """The method with the lowest likelihoods; two where the two disagree."""
    keys = list(best)
    if len(keys) == 2 and best[keys[0]] is best[keys[1]]:
        other = _lead(lines, best[keys[1]], keys[1])
        first = _lead(lines, best[keys[0]], keys[0])
        return [f"Best bound: {name_of(best[keys[0]])}. {first} {other} {_account(best[keys[0]])}"]
    sentences = []
    for key in keys:
        title = "Best bound" if len(keys) == 1 else f"Lowest {_NAMES[key]}"
        text = _lead(lines, best[key], key)
        sentences.append(f"{title}: {name_of(best[key])}. {text} {_account(best[key])}")
    return sentences


def _lead(lines: Sequence[Line], best: Line, key: str) -> str:
    """How far the best is ahead of the next, and whether the seeds can tell the two apart."""
    others = [line for line in lines if line is not best and known(line.cell(key))]
    head = f"{_capital(_NAMES[key])} {_value(best.cell(key), 2)} nats"
    if not others:
        return f"{head}; no other method has one."
    second = min(others, key=lambda line: _mean(line, key))
    gap = _mean(second, key) - _mean(best, key)
    against = f"{name_of(second)} at {_value(second.cell(key), 2)}"
    if gap == 0:
        return f"{head}, level with {against}."
    return f"{head}, {gap:.2f} ahead of {against}{_trust(gap, best.cell(key), second.cell(key))}."


def _trust(gap: float, ours: Cell, theirs: Cell) -> str:
    if ours.spread is None or theirs.spread is None:
        return ", by one seed only, so whether the lead is more than chance is unknown"
    return ", which is within the spread over seeds" if gap < math.hypot(ours.spread, theirs.spread) else ""


def _representation(lines: Sequence[Line]) -> list[str]:
    counted = [line for line in lines if known(line.cell("active_units"))]
    if not counted:
        return ["Best representation: unknown, for no run has a count of its active units."]
    widest = max(_mean(line, "active_units") for line in counted)
    tied = [line for line in counted if _mean(line, "active_units") == widest]
    probed = [line for line in tied if known(line.cell("linear_probe_accuracy"))]
    best = max(probed, key=lambda line: _mean(line, "linear_probe_accuracy")) if probed else _lowest(tied, "nll_bound")
    equals = [name_of(line) for line in tied if line is not best]
    even = f", as many as {_listed(equals)}; the {'probe' if probed else 'bound'} decides" if equals else ""
    units = f"{_value(best.cell('active_units'), 1)} active units"
    text = [
        f"Best representation: {name_of(best)}. It has {units}{even}.",
        _directions(lines, best),
        _likelihoods(best),
    ]
    if not any(known(line.cell("linear_probe_accuracy")) for line in lines):
        text.append("The data have no labels, so no probe could be asked.")
    else:
        text.append(_best_probe(lines, best))
    return [" ".join([*filter(None, text), _cost(best)])]


def _directions(lines: Sequence[Line], chosen: Line) -> str:
    """Where a rotation hides collapse from the count of active units, a word on who has more directions."""
    seen = [line for line in lines if known(line.cell("active_directions"))]
    if chosen not in seen:
        return ""
    top = max(seen, key=lambda line: _mean(line, "active_directions"))
    if _mean(top, "active_directions") <= _mean(chosen, "active_directions"):
        return ""
    ours, most = (_value(line.cell("active_directions"), 1) for line in (chosen, top))
    return f"But its means move along {ours} directions; those of {name_of(top)}, along {most}."


def _best_probe(lines: Sequence[Line], chosen: Line) -> str:
    probed = [line for line in lines if known(line.cell("linear_probe_accuracy"))]
    top = max(probed, key=lambda line: _mean(line, "linear_probe_accuracy"))
    ours = chosen.cell("linear_probe_accuracy")
    said = f"Its linear probe reaches {_percent(ours)}" if known(ours) else "It has no linear probe"
    if top is chosen:
        return f"{said}, the best of all."
    return f"{said}; the best, {_percent(top.cell('linear_probe_accuracy'))}, is that of {name_of(top)}."


def _trade(lines: Sequence[Line], key: str, best: Line, within: float) -> list[str]:
    both = [line for line in lines if known(line.cell("active_units")) and known(line.cell(key))]
    front = pareto_front([_mean(line, "active_units") for line in both], [_mean(line, key) for line in both])
    near = [both[i] for i in front if _mean(both[i], key) <= _mean(best, key) + within]
    if not near:
        return []
    chosen = max(near, key=lambda line: (_mean(line, "active_units"), -_mean(line, key)))
    rule = f"most active units on the frontier within {within:g} nats of the best {_NAMES[key]}"
    if chosen is best:
        return [f"Best trade ({rule}): {name_of(chosen)} again; nothing that near has more active units."]
    more = _mean(chosen, "active_units") - (_mean(best, "active_units") if known(best.cell("active_units")) else 0.0)
    price = _mean(chosen, key) - _mean(best, key)
    head = f"Best trade ({rule}): {name_of(chosen)}, {_number(more)} more active units than {name_of(best)}"
    return [f"{head} for {price:.2f} nats. {_likelihoods(chosen)} {_account(chosen)}"]


def _account(line: Line) -> str:
    """Active units, probe and cost."""
    parts = []
    if known(line.cell("active_units")):
        parts.append(f"{_value(line.cell('active_units'), 1)} active units")
    if known(line.cell("linear_probe_accuracy")):
        parts.append(f"linear probe {_percent(line.cell('linear_probe_accuracy'))}")
    return " ".join(filter(None, [f"{_capital(', '.join(parts))}." if parts else "", _cost(line)]))


def _likelihoods(line: Line) -> str:
    parts = [f"{_NAMES[key]} {_value(line.cell(key), 2)}" for key in _NAMES if known(line.cell(key))]
    return f"{_capital(', '.join(parts))} nats."


def _cost(line: Line) -> str:
    if line.row["method"] == "vae":
        return ""
    cost = line.cell("step_cost")
    if not known(cost):
        return "Its cost beside the plain VAE is not known."
    return f"A step takes {cost.mean:.2f} times the plain VAE's."


def _caution(done: Sequence[Row]) -> str:
    if measured_on(done) == "validation":
        return "These are figures of a validation split: measure what you choose once on the test set and publish that."
    return (
        "These are figures of the test set: to publish a choice between methods or settings, choose on a validation "
        "split (--validation) and measure the choice once on test."
    )


def _left_out(rows: Sequence[Row]) -> list[str]:
    waiting = sum(row["status"] == WAITING for row in rows)
    failed = sum(row["status"] not in ("done", WAITING) for row in rows)
    bare = sum(row["status"] == "done" and not _finite(row.get("nll_bound")) for row in rows)
    counts = ((failed, "failed"), (waiting, "still to come"), (bare, "without a bound"))
    parts = [f"{n} {text}" for n, text in counts if n]
    return [f"Left out: {', '.join(parts)} of {len(rows)} runs."] if parts else []


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _mean(line: Line, key: str) -> float:
    mean = line.cell(key).mean
    assert mean is not None, "asked of methods that have it only"
    return mean


def _value(cell: Cell, digits: int) -> str:
    mean = _number(cell.mean or 0.0) if digits == 1 else f"{cell.mean:.{digits}f}"
    return mean if cell.spread is None else f"{mean} ± {cell.spread:.{digits}f}"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _percent(cell: Cell) -> str:
    return f"{100 * (cell.mean or 0.0):.1f}%"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:] if not text.startswith(("λ", "β", "δ")) else text
