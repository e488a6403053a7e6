"""The verdict in plain sentences, worked out from the records alone."""

import math
from collections.abc import Mapping, Sequence

from lambda_vae.records.read import Row
from lambda_vae.reports.causes import because, cause_counts, listed_causes
from lambda_vae.reports.tables import WAITING, Cell, Line, comparison_table
from lambda_vae.reports.witness import dimensions_used, witness

__all__ = ["comparison_verdict", "run_verdict"]

#: Below this share of the active units, active directions are worth a sentence, as in a run's own verdict.
_HIDDEN = 0.9


def comparison_verdict(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the outcome of a comparison in a few sentences, the most important first.

    Args:
        rows: One a run; the plain VAE is the yardstick where it is among them, else the first method.

    Returns:
        What the yardstick uses and why the rest collapsed, whether another method shows that the data hold more for
        them, whether a rotation hides more of it, which method keeps most dimensions and at what valid bound, which has
        the best valid bound, how many runs failed.

    Example:
        >>> rows = [{"label": "VAE", "method": "vae", "run": "a", "status": "done", "active_units": 7,
        ...          "latent_dim": 30, "verdict_counts": {"collapsed": 23}}]
        >>> comparison_verdict(rows)
        ('The plain VAE uses 7 of 30 latent dimensions; 23 collapsed.',)
    """
    lines = comparison_table(rows).lines
    done = [line for line in lines if line.runs]
    sentences: list[str] = []
    if done:
        base = next((line for line in done if line.row["method"] == "vae"), done[0])
        others = [line for line in done if line is not base]
        runs = {
            line.label: [row for row in rows if row["label"] == line.label and row["status"] == "done"] for line in done
        }
        shows = witness(base, others, lambda line: runs[line.label])
        sentences += _usage(base, runs[base.label], shows)
        sentences += _hidden(base, others)
        sentences += _against(base, others, shows)
        if len(done) > 1 and all(line.runs == 1 for line in done):
            sentences.append("Every method ran with one seed only, so the spread of these differences is unknown.")
    waiting = sum(row["status"] == WAITING for row in rows)
    if waiting:
        sentences.append(f"The comparison is not finished: {waiting} of {len(rows)} runs are still to come.")
    failed = sum(row["status"] not in ("done", WAITING) for row in rows)
    if failed:
        sentences.append(f"{failed} of {len(rows)} runs failed; the reasons stand below the table.")
    return tuple(sentences)


def run_verdict(row: Row) -> str:
    """Return the outcome of one run in a sentence or two.

    Args:
        row: The run's scalars.
    """
    if row["status"] != "done":
        return f"The run failed: {row.get('failure') or 'no reason was recorded'}."
    given = row.get("verdict")
    return str(given) if given else " ".join(comparison_verdict([row]))


def name_of(line: Line) -> str:
    """Return how a sentence speaks of a method: "the plain VAE", or its label.

    Args:
        line: A line of a comparison table.
    """
    return "the plain VAE" if line.row["method"] == "vae" else line.label


def _usage(line: Line, rows: Sequence[Row], shows: Line | None) -> list[str]:
    active = line.cell("active_units").mean
    total = line.row.get("latent_dim")
    if active is None:
        return [f"{_sentence(name_of(line))} has no count of its latent dimensions."]
    seeds = f" (mean of {line.runs} seeds)" if line.runs > 1 else ""
    collapsed = _mean_count(rows, "verdict_counts", "collapsed")
    sharp = _mean_count(rows, "verdict_counts", "over-sharp")
    counts = cause_counts(rows)
    text = f"{_sentence(name_of(line))} uses {_count(active)} of {total} latent dimensions{seeds}"
    if sharp:
        text += f", {_count(sharp)} of them under-dispersed"
    if collapsed:
        text += f"; {_count(collapsed)} collapsed"
    if shows is None or not collapsed:
        return [f"{text}{because(counts) if collapsed else ''}."]
    text += f", but the data hold more for them: {name_of(shows)} uses {_used(shows)} at a better valid bound"
    return [f"{text}, {_gap(shows, line)}.", *_alone(counts)]


def _used(line: Line) -> str:
    """How many dimensions a method uses; directions where a rotation makes the units more than these."""
    used = dimensions_used(line)
    assert used is not None, "a witness has more of them than another method"
    units = line.cell("active_units").mean
    return _count(used) if units == used else f"{_count(used)} directions"


def _gap(ours: Line, theirs: Line) -> str:
    lower, higher = _mean(ours, "nll_bound"), _mean(theirs, "nll_bound")
    return f"{lower:.2f} nats against {higher:.2f}"


def _alone(counts: Mapping[str, float]) -> list[str]:
    """The causes that the run names by itself, where another one has shown more than it could see."""
    seen = {name: number for name, number in counts.items() if name != "no signal"}
    parts = [listed_causes(seen)] if seen else []
    if counts.get("no signal"):
        blind = f"for {_count(counts['no signal'])} it found nothing more in the data"
        parts.append(f"{blind}, which the other method puts in doubt")
    return [f"Judged from that run alone: {'; '.join(parts)}."] if parts else []


def _hidden(base: Line, others: Sequence[Line]) -> list[str]:
    """That fewer directions than units are active, which the count of units does not tell."""
    units, moving = base.cell("active_units").mean, base.cell("active_directions").mean
    if units is None or moving is None or moving >= _HIDDEN * units:
        return []
    text = f"Its means move along {_count(moving)} directions only, the rest of the code repeats these"
    widest = _best(others, "active_directions", -1)
    if widest is not None and _mean(widest, "active_directions") > moving:
        text += f"; those of {widest.label} along {_count(_mean(widest, 'active_directions'))}"
    return [f"{text}."]


def _against(base: Line, others: Sequence[Line], shows: Line | None) -> list[str]:
    widest = _best(others, "active_units", -1)
    lowest = _best([base, *others], "nll_bound", 1)
    sentences = []
    if widest is not None and widest is not shows and _mean(widest, "active_units") > _mean(base, "active_units"):
        keeps = f"{_sentence(widest.label)} keeps {_count(_mean(widest, 'active_units'))} in use"
        sentences.append(f"{keeps}{_bound(widest, base)}.")
    if lowest is not None and lowest is not widest and lowest is not shows and others:
        best = f"The best valid bound belongs to {name_of(lowest)}: {_mean(lowest, 'nll_bound'):.2f} nats"
        active = lowest.cell("active_units").mean
        used = f", with {_count(active)} dimensions in use" if active is not None and lowest is not base else ""
        gap = "" if lowest is base else f" ({_difference(lowest, base)})"
        sentences.append(f"{best}{gap}{used}.")
    return sentences


def _bound(line: Line, base: Line) -> str:
    if line.cell("nll_bound").mean is None or base.cell("nll_bound").mean is None:
        return ""
    return f" at a valid bound of {_mean(line, 'nll_bound'):.2f} nats, {_difference(line, base)}"


def _difference(line: Line, base: Line) -> str:
    """How far apart two bounds are, and whether the seeds can tell them apart at all."""
    ours, theirs = line.cell("nll_bound"), base.cell("nll_bound")
    gap = _mean(line, "nll_bound") - _mean(base, "nll_bound")
    text = f"{abs(gap):.1f} nats {'worse' if gap > 0 else 'better'} than {_possessive(base)} {theirs.mean:.2f}"
    return f"{text}, which is within the spread over seeds" if _within_spread(gap, ours, theirs) else text


def _within_spread(gap: float, ours: Cell, theirs: Cell) -> bool:
    if ours.spread is None or theirs.spread is None:
        return False
    return abs(gap) < math.hypot(ours.spread, theirs.spread)


def _best(lines: Sequence[Line], key: str, sign: int) -> Line | None:
    known = [line for line in lines if line.cell(key).mean is not None]
    return min(known, key=lambda line: sign * _mean(line, key), default=None)


def _mean(line: Line, key: str) -> float:
    mean = line.cell(key).mean
    return math.nan if mean is None else mean


def _mean_count(rows: Sequence[Row], group: str, key: str) -> float:
    counts = [row[group].get(key) or 0 for row in rows if isinstance(row.get(group), dict)]
    return sum(counts) / len(counts) if counts else 0.0


def _count(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _possessive(line: Line) -> str:
    return f"{name_of(line)}'s"


def _sentence(name: str) -> str:
    return f"T{name[1:]}" if name.startswith("the ") else name
