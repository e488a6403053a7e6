"""`tune`: the delta, and the release, that serve a stated objective, found on a validation split."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from lambda_vae.comparisons._compare import CompareConfig, compare
from lambda_vae.comparisons.search_objectives import Objective, Outcome, Point
from lambda_vae.errors import InputError
from lambda_vae.runs._train import train
from lambda_vae.runs.config import RunConfig
from lambda_vae.runs.flat import write_config
from lambda_vae.runs.resolve import Run

__all__ = ["Tuned", "tune"]

#: Of the training set, where the size of the validation split is not given; never more than `_MOST_HELD_OUT`.
_HELD_OUT, _MOST_HELD_OUT = 10, 5000


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Args:
        point: The best point.
        outcomes: All that were tried, on the validation split.
        config: A run with the best point and all training data, to be measured once on the test set.
    """

    point: Point
    outcomes: dict[Point, Outcome]
    config: RunConfig

    @property
    def tells_delta(self) -> bool:
        """Whether some delta, released like the winner, came to another outcome (two decimals); true if none was tried.

        False after too few epochs, for instance: as long as λ stands at its upper limit, every delta is the same run.
        """
        alike = [one for point, one in self.outcomes.items() if point.release_epochs == self.point.release_epochs]
        return len(alike) < 2 or len({tuple(round(value, 2) for value in asdict(one).values()) for one in alike}) > 1


def tune(
    base: RunConfig,
    objective: Objective,
    out: Path,
    *,
    budget: int = 12,
    seeds: int = 1,
    release: bool = True,
    workers: int | None = None,
    final: bool = False,
    resume: bool = False,
    console: Console | None = None,
) -> Tuned:
    """Search delta and the release for an objective; every run is one of a comparison in `out` and can be resumed.

    Args:
        base: What all runs share; its method must have a delta. Without a validation split, a tenth of the training set
            (5,000 at most) is held out.
        objective: What the search is for.
        out: Folder; `tuned.yaml` in it is taken by `train --config`.
        budget: At most so many runs.
        seeds: Runs a point; the objective sees their mean.
        release: Whether releases over half of the epochs are tried too.
        workers: Processes at a time; one a core if not given.
        final: Train the winner on all training data, in out/final, and measure it once on the test set.
        resume: Go on with what lies there.
        console: Where progress is shown.

    Raises:
        InputError: The method has no delta, the budget is too small for a single point, or anything that `compare`
            refuses.
    """
    if not base.method.uses("delta"):
        raise InputError(f"{base.method.name} has no delta to tune; use lambda-vae, alone or composed")
    if budget < seeds or seeds < 1:
        raise InputError(f"budget is {budget} and seeds is {seeds}; allow at least one point, a run for each seed")
    if not base.validation:
        count = len(Run.resolve(base, training=False).dataset.train)
        base = replace(base, validation=max(2, min(_MOST_HELD_OUT, count // _HELD_OUT)))
    releases = (0, base.epochs // 2) if release and base.method.uses("release_epochs") else (0,)
    outcomes: dict[Point, Outcome] = {}
    tried: list[Point] = []
    asked = objective.first(releases)
    while asked := asked[: budget // seeds - len(tried)]:
        tried += asked
        rows = compare(
            base, _choice(base, tried, seeds, workers), out, resume=resume or len(tried) > len(asked), console=console
        )
        outcomes = _outcomes(rows, tried)
        if not outcomes:
            raise InputError(f"none of {len(rows)} runs in {out} came through; their failures stand in table.json")
        asked = [point for point in objective.more(outcomes) if point not in tried]
    best = objective.best(outcomes)
    config = replace(_at(base, best), validation=0)
    write_config(out / "tuned.yaml", config)
    if final:
        train(config, out / "final", resume=True, console=console)
    return Tuned(best, outcomes, config)


def _at(base: RunConfig, point: Point) -> RunConfig:
    """The run of a point; a method without release has none at any."""
    values = {name: value for name, value in asdict(point).items() if base.method.uses(name)}
    return replace(base, method=base.method.with_settings(**values))


def _choice(base: RunConfig, points: Sequence[Point], seeds: int, workers: int | None) -> CompareConfig:
    return CompareConfig(tuple(_at(base, point).method for point in points), seeds=seeds, workers=workers)


def _outcomes(rows: Sequence[dict[str, Any]], points: Sequence[Point]) -> dict[Point, Outcome]:
    """Means over the seeds of the points of which every run came through with finite numbers."""
    outcomes = {}
    for place, point in enumerate(points):
        own = rows[place :: len(points)]  # `compare` returns all points at the first seed, then all at the next
        values = {name: [_number(row.get(name)) for row in own] for name in Outcome.__dataclass_fields__}
        if all(math.isfinite(value) for each in values.values() for value in each):
            outcomes[point] = Outcome(**{name: statistics.fmean(each) for name, each in values.items()})
    return outcomes


def _number(value: Any) -> float:  # noqa: ANN401 - any JSON number or null
    return math.nan if value is None else float(value)
