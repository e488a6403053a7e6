"""What runs come to, in plain sentences from the records alone: the verdict, and which method to choose.

Only `nll_bound` and `nll_iw` count as likelihoods here, never the surrogate.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from lambda_vae.records.read import ComparisonRecord
from lambda_vae.records.run_row import RunRow
from lambda_vae.reports.causes import because, cause_counts, listed_causes
from lambda_vae.reports.measured import measured_on
from lambda_vae.reports.pareto import pareto_front
from lambda_vae.reports.tables import Cell, Line, comparison_table

__all__ = ["TOLERANCE", "advice", "verdict", "verdict_lines", "witness"]

TOLERANCE = 1.0
"""Nats of the best likelihood that the best trade-off may cost."""

#: Below this share of the active units, active directions are worth a sentence, as in a run's own verdict.
_HIDDEN = 0.9

_WITHIN_SPREAD = ", which is within one standard deviation over seeds"

#: The method that is no VAE to choose, but what the others are measured by.
_WITHOUT_Z = "no-z"

Quantity = Callable[[Line], Cell]
_LIKELIHOODS: dict[str, Quantity] = {
    "importance-weighted NLL": lambda line: line.nll_iw,
    "NLL bound": lambda line: line.nll_bound,
}


def verdict_lines(record: ComparisonRecord) -> tuple[str, ...]:
    """Return the verdict as plain sentences, for a run or a comparison.

    Args:
        record: From `load_record`.
    """
    return verdict(record.rows)


def verdict(rows: Sequence[RunRow]) -> tuple[str, ...]:
    """Return the outcome of a run, or of several that are compared, in a few sentences, the most important first.

    Args:
        rows: One a run; the plain VAE is the baseline where it is among them, else the first method.

    Returns:
        Of one run its own verdict. Of several what the baseline uses and why the rest collapsed, whether another method
        shows that the data hold more, whether a rotation hides more of the collapse, which method keeps most dimensions
        and at what valid bound, which has the best valid bound, how many runs failed.

    Example:
        >>> row = RunRow(run="a", label="VAE", method="vae", status="done", active_units=7, latent_dim=30)
        >>> verdict([row.updated(verdict_counts={"collapsed": 23})])
        ('The plain VAE uses 7 of 30 latent dimensions; 23 collapsed.',)
    """
    if len(rows) == 1 and not rows[0].done:
        return (f"The run failed: {rows[0].failure or 'no reason was recorded'}.",)
    if len(rows) == 1 and rows[0].verdict:
        return (rows[0].verdict,)
    done = [line for line in comparison_table(rows).lines if line.runs]
    sentences: list[str] = []
    if done:
        base = next((line for line in done if line.row.method == "vae"), done[0])
        others = [line for line in done if line is not base]
        shows = witness(base, others)
        sentences += [*_usage(base, shows), *_hidden(base, others), *_compared(base, others, shows)]
        if others and all(line.runs == 1 for line in done):
            sentences.append("Every method ran with one seed only, so how far seeds differ is unknown.")
    if waiting := sum(row.waiting for row in rows):
        sentences.append(f"The comparison is not finished: {waiting} of {len(rows)} runs are still to come.")
    if failed := sum(row.failed for row in rows):
        sentences.append(f"{failed} of {len(rows)} runs failed, for the reasons given below the table.")
    return tuple(sentences)


def witness(base: Line, others: Sequence[Line]) -> Line | None:
    """Return the method that shows that the data hold more than another one encodes; None if no method does.

    It has more dimensions in use, by more than the standard deviation over seeds where there are several, and a lower
    valid bound by more than the error of the two: the standard deviation over seeds, or the standard error over
    examples where there is one seed. Both are measured on the same examples, so the error of their difference is
    smaller than that.
    """
    used = base.dimensions_used

    def shows_more(line: Line) -> bool:
        more = line.dimensions_used.value - used.value
        lower = base.nll_bound.value - line.nll_bound.value
        return more > _spread(line.dimensions_used, used, unknown=0.0) and lower > math.hypot(
            _error(line), _error(base)
        )

    return _most([line for line in others if shows_more(line)], lambda line: line.dimensions_used)


def _error(line: Line) -> float:
    """Over seeds, else the largest over examples; infinite where a run has none, so that nothing is claimed."""
    if line.nll_bound.spread is not None:
        return line.nll_bound.spread
    errors = (row.nll_bound_stderr for row in line.done)
    return max((math.inf if error is None else error for error in errors), default=math.inf)


def _spread(ours: Cell, theirs: Cell, unknown: float) -> float:
    if ours.spread is None or theirs.spread is None:
        return unknown
    return math.hypot(ours.spread, theirs.spread)


def _usage(line: Line, shows: Line | None) -> list[str]:
    if line.active_units.mean is None:
        return [f"{_capital(line.name)} has no count of its latent dimensions."]
    seeds = f" (mean of {line.runs} seeds)" if line.runs > 1 else ""
    collapsed, sharp = _mean_verdicts(line.done, "collapsed"), _mean_verdicts(line.done, "over-sharp")
    counts = cause_counts(line.done)
    units = _short(line.active_units.value)
    text = f"{_capital(line.name)} uses {units} of {line.row.latent_dim} latent dimensions{seeds}"
    text += f", {_short(sharp)} of them under-dispersed" if sharp else ""
    text += f"; {_short(collapsed)} collapsed" if collapsed else ""
    if shows is None or not collapsed:
        return [f"{text}{because(counts) if collapsed else ''}."]
    gap = f"{shows.nll_bound.value:.2f} nats against {line.nll_bound.value:.2f}"
    text += f", although the data hold more: {shows.name} uses {_used(line, shows)} at a better valid bound, {gap}."
    return [text, *_alone(line, counts)]


def _used(base: Line, shows: Line) -> str:
    """How many dimensions a method uses; both counts where they are directions, which were not told of the other."""
    count = _short(shows.dimensions_used.value)
    if shows.dimensions_used is shows.active_units and base.dimensions_used is base.active_units:
        return count
    return f"{count} directions against {_short(base.dimensions_used.value)}"


def _alone(line: Line, counts: Mapping[str, float]) -> list[str]:
    """The causes that the run names by itself, where another one has shown more than it could see."""
    seen = {name: number for name, number in counts.items() if name != "no signal"}
    parts = [listed_causes(seen)] if seen else []
    if counts.get("no signal"):
        blind = f"for {_short(counts['no signal'])} nothing more was found in the data"
        parts.append(f"{blind}, which the other method calls into question")
    return [f"Causes by the measures of {line.name} alone: {'; '.join(parts)}."] if parts else []


def _hidden(base: Line, others: Sequence[Line]) -> list[str]:
    """That fewer directions than units are active, which the count of units does not tell."""
    units, moving = base.active_units.mean, base.active_directions.mean
    if units is None or moving is None or moving >= _HIDDEN * units:
        return []
    text = f"Its posterior means vary along only {_short(moving)} directions, which the other active dimensions repeat"
    widest = _most(others, lambda line: line.active_directions)
    if widest is not None and widest.active_directions.value > moving:
        text += f"; those of {widest.label} vary along {_short(widest.active_directions.value)}"
    return [f"{text}."]


def _compared(base: Line, others: Sequence[Line], shows: Line | None) -> list[str]:
    widest = _most(others, lambda line: line.active_units)
    lowest = _least([base, *others], lambda line: line.nll_bound)
    sentences = []
    if widest is not None and widest is not shows and widest.active_units.value > base.active_units.value:
        both = base.nll_bound.known and widest.nll_bound.known
        bound = f" at a valid bound of {widest.nll_bound.mean:.2f} nats, {_difference(widest, base)}" if both else ""
        sentences.append(f"{_capital(widest.label)} uses {_short(widest.active_units.value)} dimensions{bound}.")
    if lowest is not None and lowest is not widest and lowest is not shows and others:
        best = f"{_capital(lowest.name)} has the best valid bound, {lowest.nll_bound.mean:.2f} nats"
        gap = "" if lowest is base else f" ({_difference(lowest, base)})"
        counted = lowest.active_units.mean is not None and lowest is not base
        used = f", with {_short(lowest.active_units.value)} dimensions in use" if counted else ""
        sentences.append(f"{best}{gap}{used}.")
    return sentences


def _difference(line: Line, base: Line) -> str:
    """How far apart two bounds are, and whether the seeds can tell them apart at all."""
    gap = line.nll_bound.value - base.nll_bound.value
    text = f"{abs(gap):.1f} nats {'worse' if gap > 0 else 'better'} than {base.name}'s {base.nll_bound.value:.2f}"
    return text + (_WITHIN_SPREAD if abs(gap) < _spread(line.nll_bound, base.nll_bound, unknown=0.0) else "")


def _mean_verdicts(rows: Sequence[RunRow], verdict: str) -> float:
    counts = [row.verdict_counts.get(verdict) or 0 for row in rows if row.verdict_counts is not None]
    return sum(counts) / len(counts) if counts else 0.0


def advice(rows: Sequence[RunRow], tolerance: float = TOLERANCE) -> tuple[str, ...]:
    """Return which method to choose, in a few plain sentences: best bound, best representation, best trade-off.

    The best bound is the lowest mean. The best representation has the most active units, then the best probe. The best
    trade-off has the most active units of the methods on the frontier within `tolerance` of the best `nll_iw` (of
    `nll_bound` where no run has the other).

    Args:
        rows: One a run; those that failed or are still to come are left out, and counted in the last sentence.
        tolerance: Nats.

    Returns:
        The sentences; what cannot be told, for want of numbers or of a second method, is said.

    Example:
        >>> advice([RunRow(run="a", label="VAE", method="vae", status="done", nll_bound=104.6, active_units=7)])
        ('Only one method has results: there is nothing to choose between.',)
    """
    return (*_choices([row for row in rows if row.done], tolerance), *_left_out(rows))


def _choices(done: Sequence[RunRow], tolerance: float) -> list[str]:
    known = [line for line in comparison_table(done).lines if line.nll_bound.known]
    lines = [line for line in known if line.row.method != _WITHOUT_Z] or known
    if not lines:
        return ["No run has a result: there is nothing to recommend."]
    if len(known) == 1:
        return ["Only one method has results: there is nothing to choose between."]
    if measured_on(done) == "mixed":
        return [
            "Some runs were measured on a validation split and others on the test set, so that nothing can be "
            "recommended from both; measure all on the same."
        ]
    best = {name: line for name, cell in _LIKELIHOODS.items() if (line := _least(lines, cell)) is not None}
    sentences = [*_bounds(lines, best), *_representation(lines), *_trade(lines, *next(iter(best.items())), tolerance)]
    sentences += _beside_no_z(known, lines, next(iter(best)))
    if measured_on(done) == "validation":
        caution = "a validation split. Measure the method that you choose once on the test set, and publish that."
    else:
        caution = (
            "the test set. To publish a choice between methods or settings, choose on a validation split (the setting "
            "validation) and measure the choice once on the test set."
        )
    return [*sentences, f"These figures are of {caution}"]


def _bounds(lines: Sequence[Line], best: Mapping[str, Line]) -> list[str]:
    """The method with the lowest likelihoods; two where the two disagree."""
    leads = {name: _lead(lines, line, name) for name, line in best.items()}
    if len({line.label for line in best.values()}) == 1:
        line = next(iter(best.values()))
        return [f"Best bound: {line.name}. {' '.join(leads.values())} {_account(line)}"]
    return [f"Lowest {name}: {line.name}. {leads[name]} {_account(line)}" for name, line in best.items()]


def _lead(lines: Sequence[Line], best: Line, name: str) -> str:
    """How much better the best is than the next, and whether the seeds can tell the two apart."""
    cell = _LIKELIHOODS[name]
    ours, second = cell(best), _least([line for line in lines if line is not best], cell)
    head = f"{_capital(name)} {_value(ours)} nats"
    if second is None:
        return f"{head}; no other method has one."
    theirs = cell(second)
    gap, other = theirs.value - ours.value, f"{second.name} at {_value(theirs)}"
    if gap == 0:
        return f"{head}, equal to {other}."
    return f"{head}, {gap:.2f} below {other}{_trust(ours, theirs, gap)}."


def _trust(ours: Cell, theirs: Cell, gap: float) -> str:
    if ours.spread is None or theirs.spread is None:
        return "; with one seed, whether that is more than chance is unknown"
    return _WITHIN_SPREAD if gap < _spread(ours, theirs, unknown=0.0) else ""


def _beside_no_z(known: Sequence[Line], lines: Sequence[Line], name: str) -> list[str]:
    """Where the decoder without z is among the methods, whether a z helps the likelihood."""
    bare = next((line for line in known if line.row.method == _WITHOUT_Z), None)
    cell, best = _LIKELIHOODS[name], _least(lines, _LIKELIHOODS[name])
    if bare is None or best is None or best is bare:
        return []
    ours, theirs = cell(best), bare.nll_bound
    gap = ours.value - theirs.value
    head = f"The decoder without z has {_value(theirs)} nats, its exact NLL"
    said = f"the lowest {name} of the others, {best.name}'s {_value(ours)}, is {abs(gap):.2f}"
    if gap < 0.0:
        return [f"{head}; {said} below it{_trust(ours, theirs, -gap)}."]
    return [f"{head}; {said} above it: no z is seen to help the likelihood."]


def _representation(lines: Sequence[Line]) -> list[str]:
    widest = _most(lines, lambda line: line.active_units)
    if widest is None:
        return ["Best representation: unknown, for no run has a count of its active units."]
    if not widest.active_units.value:
        return ["Best representation: none, for no method has an active unit."]
    tied = [line for line in lines if line.active_units.mean == widest.active_units.mean]
    probed = _most(tied, _probe)
    best = probed or _least(tied, lambda line: line.nll_bound) or widest
    equals = [line.name for line in tied if line is not best]
    even = f", as many as {_listed(equals)}; the {'probe' if probed else 'bound'} decides" if equals else ""
    has = f"Best representation: {best.name}. It has {_value(best.active_units, 1)} active units{even}."
    parts = (has, _directions(lines, best), _likelihoods(best), _best_probe(lines, best), _cost(best))
    return [" ".join(filter(None, parts))]


def _directions(lines: Sequence[Line], chosen: Line) -> str:
    """Where a rotation hides collapse from the count of active units, a word on who has more directions."""
    top, ours = _most(lines, lambda line: line.active_directions), chosen.active_directions
    if top is None or not ours.known or top.active_directions.value <= ours.value:
        return ""
    most = _value(top.active_directions, 1)
    return f"But its means vary along {_value(ours, 1)} directions, and those of {top.name} along {most}."


def _probe(line: Line) -> Cell:
    return line.linear_probe_accuracy


def _best_probe(lines: Sequence[Line], chosen: Line) -> str:
    top, ours = _most(lines, _probe), _probe(chosen)
    if top is None:
        return "The data have no labels to probe the code with."
    said = f"Its linear probe reaches {_percent(ours)}" if ours.known else "It has no linear probe"
    if top is chosen:
        return f"{said}, the best of all."
    return f"{said}; the best, {_percent(_probe(top))}, is that of {top.name}."


def _trade(lines: Sequence[Line], name: str, best: Line, tolerance: float) -> list[str]:
    cell = _LIKELIHOODS[name]
    both = [line for line in lines if line.active_units.known and cell(line).known]
    front = pareto_front([line.active_units.value for line in both], [cell(line).value for line in both])
    near = [both[i] for i in front if cell(both[i]).value <= cell(best).value + tolerance]
    if not near:
        return []
    chosen = max(near, key=lambda line: (line.active_units.value, -cell(line).value))
    within = f"{tolerance:g} nat{'' if tolerance == 1 else 's'}"
    rule = f"Best trade-off (most active units on the frontier within {within} of the best {name})"
    if chosen is best:
        return [f"{rule}: {chosen.name} again; nothing that close has more active units."]
    more = chosen.active_units.value - (best.active_units.value if best.active_units.known else 0.0)
    head = f"{rule}: {chosen.name}, {_short(more)} more active units than {best.name}"
    price = cell(chosen).value - cell(best).value
    return [f"{head} for {price:.2f} nats. {_likelihoods(chosen)} {_account(chosen)}"]


def _account(line: Line) -> str:
    """Active units, probe and cost."""
    parts = [f"{_value(line.active_units, 1)} active units"] if line.active_units.known else []
    parts += [f"linear probe {_percent(_probe(line))}"] if _probe(line).known else []
    return " ".join(filter(None, [f"{_capital(', '.join(parts))}." if parts else "", _cost(line)]))


def _likelihoods(line: Line) -> str:
    parts = [f"{name} {_value(cell(line))}" for name, cell in _LIKELIHOODS.items() if cell(line).known]
    return f"{_capital(', '.join(parts))} nats."


def _cost(line: Line) -> str:
    if line.row.method == "vae":
        return ""
    if not line.step_cost.known:
        return "Its cost compared with the plain VAE's is not known."
    return f"A training step takes {line.step_cost.value:.2f} times as long as the plain VAE's."


def _left_out(rows: Sequence[RunRow]) -> list[str]:
    bare = sum(row.done and not (row.nll_bound is not None and math.isfinite(row.nll_bound)) for row in rows)
    counts = {
        "failed": sum(row.failed for row in rows),
        "still to come": sum(row.waiting for row in rows),
        "without a bound": bare,
    }
    parts = [f"{count} {what}" for what, count in counts.items() if count]
    return [f"Left out: {', '.join(parts)} of {len(rows)} runs."] if parts else []


def _least(lines: Sequence[Line], cell: Quantity) -> Line | None:
    return min((line for line in lines if cell(line).known), key=lambda line: cell(line).value, default=None)


def _most(lines: Sequence[Line], cell: Quantity) -> Line | None:
    return max((line for line in lines if cell(line).known), key=lambda line: cell(line).value, default=None)


def _value(cell: Cell, digits: int = 2) -> str:
    if cell.spread is None:
        return _short(cell.value) if digits == 1 else f"{cell.value:.{digits}f}"
    return f"{cell.value:.{digits}f} ± {cell.spread:.{digits}f}"


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _percent(cell: Cell) -> str:
    return f"{100 * cell.value:.1f}%"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:] if not text.startswith(("λ", "β", "δ")) else text
