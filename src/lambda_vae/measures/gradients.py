"""What trained runs say about Propositions 1 and 2: from the histories on disk, run by run and pooled."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from lambda_vae.diagnostics import (
    Attenuation,
    CriticalRatio,
    DecayExponent,
    Tracks,
    attenuation,
    critical_ratio,
    decay_exponent,
    training_tracks,
)
from lambda_vae.diagnostics.information import REFERENCE_STD
from lambda_vae.errors import InputError
from lambda_vae.estimation import Estimate
from lambda_vae.records import load_record

__all__ = ["MOMENTS", "GradientReport", "GradientRow", "gradients_table", "measure_gradients"]

#: When rho is looked at: at the last epoch; at every epoch, with that epoch's own label; its lowest over the second
#: half of training, the proposition's lim inf, with the label of the end.
MOMENTS = ("end", "training", "lowest")


@dataclass(frozen=True)
class GradientRow:
    """One run, or several pooled.

    Args:
        name: The run's, the method's, or "all runs".
        runs: Names of the runs in it.
        decay: alpha, over dimensions that end collapsed.
        ratios: rho_crit by the moments in `MOMENTS`.
        attenuation: c; for a pool the means over its runs.
    """

    name: str
    runs: tuple[str, ...]
    decay: DecayExponent
    ratios: Mapping[str, CriticalRatio]
    attenuation: Attenuation

    def to_record(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "name": self.name,
            "runs": list(self.runs),
            "decay": self.decay.to_record(),
            "critical_ratio": {moment: found.to_record() for moment, found in self.ratios.items()},
            "attenuation": self.attenuation.to_record(),
        }

    @property
    def remarks(self) -> list[str]:
        """Why numbers are missing, and what to mind."""
        named = {
            "ρ_crit at the end": self.ratios["end"].threshold,
            "α": self.decay.alpha,
            "c": self.attenuation.quotient,
        }
        return [f"{self.name}, {what}: {value.reason}" for what, value in named.items() if value.reason]


@dataclass(frozen=True)
class GradientReport:
    """All of it.

    Args:
        runs: One row a run.
        pooled: One a method with several runs, and one for all runs.
        skipped: Why, by the run's name.
    """

    runs: tuple[GradientRow, ...]
    pooled: tuple[GradientRow, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def remarks(self) -> list[str]:
        """What the reader of the tables must know; those of single runs stand in the record."""
        rows = self.pooled or self.runs
        return [remark for row in rows for remark in row.remarks] + [f"{n}: {why}" for n, why in self.skipped.items()]

    def to_record(self) -> dict[str, Any]:
        """Return plain data."""
        rows = {name: [row.to_record() for row in getattr(self, name)] for name in ("pooled", "runs")}
        return {"schema": 1, **rows, "skipped": dict(self.skipped)}


def measure_gradients(path: Path, *, reference_std: float = REFERENCE_STD, seed: int = 0) -> GradientReport:
    """Return decay exponent, critical ratio and attenuation of every run under `path`, and of runs pooled.

    Args:
        path: Folder of a run or a comparison.
        reference_std: Noise that the attenuation c is measured against.
        seed: Of the bootstrap behind the errors of ρ_crit.

    Raises:
        InputError: There is neither, or no run left a history to go by.
    """
    tracks, labels, skipped = {}, {}, {}
    for run in load_record(path).runs:
        name = run.row.run
        try:
            tracks[name], labels[name] = training_tracks(run.history), run.label
        except InputError as error:
            skipped[name] = f"left out; {error}"
    if not tracks:
        reasons = "; ".join(f"{name}: {why}" for name, why in skipped.items()) or "it has no finished run"
        raise InputError(f"{path} holds no history of gradients ({reasons})")

    def row(title: str, names: Sequence[str]) -> GradientRow:
        return _row(title, {name: tracks[name] for name in names}, reference_std, seed)

    pools = {label: [n for n in tracks if labels[n] == label] for label in dict.fromkeys(labels.values())}
    pooled = [row(label, names) for label, names in pools.items() if len(names) > 1]
    pooled += [row("all runs", list(tracks))] if len(tracks) > 1 else []
    return GradientReport(tuple(row(name, [name]) for name in tracks), tuple(pooled), skipped)


def _row(name: str, tracks: Mapping[str, Tracks], reference_std: float, seed: int) -> GradientRow:
    passed = [attenuation(t.signal_power, t.noise, reference_std) for t in tracks.values()]
    ratios = {moment: _critical(list(tracks.values()), moment, seed) for moment in MOMENTS}
    return GradientRow(name, tuple(tracks), _decay(list(tracks.values())), ratios, _mean(passed))


def _decay(tracks: Sequence[Tracks]) -> DecayExponent:
    """Fit alpha over dimensions that end collapsed, while KL weight and exponent are what they end with.

    Nearer than twice where they come to rest there is only jitter.
    """
    columns, start, nearest = [], 0, math.inf
    for t in tracks:
        rest = 2 * float(np.median(t.distance[-1][~t.active[-1]])) if not t.active[-1].all() else math.inf
        chosen = t.settled & ~t.active[-1] & (t.distance > rest)
        who = np.broadcast_to(start + np.arange(chosen.shape[1]), chosen.shape)
        columns.append((t.distance[chosen], t.pull[chosen], who[chosen]))
        start, nearest = start + chosen.shape[1], min(nearest, rest)
    distance, pull, who = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    return decay_exponent(distance, pull, who, nearest=nearest if math.isfinite(nearest) else 0.0)


def _critical(tracks: Sequence[Tracks], moment: str, seed: int) -> CriticalRatio:
    """Groups are runs; within a single run, dimensions."""
    seen = [_at(t, moment) for t in tracks]
    whole = len(tracks) > 1
    groups = [np.broadcast_to(k if whole else np.arange(r.shape[1]), r.shape).ravel() for k, (r, _) in enumerate(seen)]
    ratio, active = (np.concatenate([pair[i].ravel() for pair in seen]) for i in (0, 1))
    return critical_ratio(ratio, active.astype(bool), np.concatenate(groups), np.random.default_rng(seed))


def _at(t: Tracks, moment: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Ratio and label, each [E, D] or [1, D]."""
    if moment == "training":
        return t.ratio, t.active
    if moment == "end":
        return t.ratio[-1:], t.active[-1:]
    return t.ratio[len(t.ratio) // 2 :].min(0, keepdims=True), t.active[-1:]


def _mean(passed: Sequence[Attenuation]) -> Attenuation:
    if len(passed) == 1:
        return passed[0]
    quotient, active, collapsed, slope = (
        _mean_estimate([getattr(p, name) for p in passed]) for name in ("quotient", "active", "collapsed", "slope")
    )
    through, encoded = (float(np.mean([getattr(p, name) for p in passed])) for name in ("through", "encoded"))
    return Attenuation(quotient, active, collapsed, slope, through, encoded, passed[0].reference_std)


def _mean_estimate(parts: Sequence[Estimate]) -> Estimate:
    """Mean over runs, with its error from their scatter."""
    values, reasons = [part.value for part in parts if part.known], [part.reason for part in parts if part.reason]
    reason = f"in {len(reasons)} of {len(parts)} runs, such as {reasons[0]}" if reasons else ""
    if len(values) < len(parts):
        return Estimate.unknown(reason, "")
    return Estimate(float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values))), "", reason)


def gradients_table(rows: Sequence[GradientRow]) -> Table:
    """Return what runs, or the pools of them, say about Propositions 1 and 2.

    Args:
        rows: Runs or pools.
    """
    single = rows[0].runs == (rows[0].name,)
    table = Table(
        title="Runs" if single else "Pooled",
        caption="– : the reason stands below, or in the record.",
        box=SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
    )
    table.add_column("run" if single else "runs", no_wrap=True)
    for heading in ("ρ_crit", "accuracy", "chance", "new run", "α", "α − 1", "c", "collapsed", "dI/dI"):
        table.add_column(heading, justify="right")
    for row in rows:
        end, decay, passed = row.ratios["end"], row.decay, row.attenuation
        critical = (end.threshold, end.accuracy, f"{end.majority:.3f}", end.left_out)
        numbers = (*critical, decay.alpha, decay.excess, passed.quotient, passed.collapsed, passed.slope)
        table.add_row(escape(row.name), *(str(number) for number in numbers))
    return table
