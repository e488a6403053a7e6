"""`reproduce`: a published table row by row, on the same network and under the same measurements, resumable."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from lambda_vae.checked import check_known
from lambda_vae.comparisons._compare import (
    check_runs,
    jobs_of,
    named_runs,
    provenance_of,
    rows_of,
    run_shown,
    time_finished,
    write_configs,
)
from lambda_vae.comparisons.executor import LOCAL, Engine, RunJobs, Show
from lambda_vae.comparisons.job import Job
from lambda_vae.comparisons.reuse import FinishedRun, import_finished, read_finished
from lambda_vae.data import Dataset, load
from lambda_vae.errors import InputError
from lambda_vae.files import read_json, write_atomic, write_json
from lambda_vae.methods import Method
from lambda_vae.paper.added import added_recipes, check_names, kept_methods, row_label, title_of
from lambda_vae.paper.figures import PUBLISHED, load_recipes
from lambda_vae.paper.recipe import Recipe, named, run_name_of, runs_of
from lambda_vae.paper.subset import subset_path, write_subset
from lambda_vae.paper.tables import TABLES, Scale
from lambda_vae.records.run_row import RunRow
from lambda_vae.runs._train import train
from lambda_vae.runs.config import RunConfig, to_yaml
from lambda_vae.runs.cost import cost_of, cost_table
from lambda_vae.runs.flat import read_config
from lambda_vae.runs.folder import check_kept, locked
from lambda_vae.runs.resolve import Run
from lambda_vae.runs.results import training_length
from lambda_vae.runs.snapshots import snapshot_epochs
from lambda_vae.training import Diverged

__all__ = ["Reproduction", "reproduce"]

#: Of data on which fewer seeds are run, and what must be said of results on it.
_FEWER_SEEDS = {"omniglot": 1}
_NOTES = {
    "omniglot": "The data is our own 28x28 rendering of OMNIGLOT, not the file that others use: published figures, the "
    "paper's among them, are not comparable with ours and stand here for orientation alone."
}


@dataclass(frozen=True)
class Reproduction:
    """What is reproduced.

    Args:
        table: A name in `figures.PUBLISHED`.
        data: A named data set or a path; what the table is about if empty.
        scale: How much of it: smoke, quick or paper; of tables and figures of images smoke, steps, cpu or paper.
        only: Names of rows; all that are not optional where none is given.
        optional: Whether all optional rows are asked for too.
        method: Methods that the table has no row for, as text or as objects; each becomes a row next to those asked
            for, as long as the plain VAE's and with as many seeds.
        seeds: Of each row at most so many now; all that its recipe names if not given.
        workers: Runs at a time; one a core if not given.
        known: Archives of results pages, whose runs count as done where they are exactly the same.

    Raises:
        InputError: An unknown name, seeds or workers below 1, or a method for a figure.
    """

    table: str = "table1"
    data: str = ""
    scale: str = "paper"
    only: tuple[str, ...] = ()
    optional: bool = False
    method: str | Method | tuple[str | Method, ...] = ()
    seeds: int | None = None
    workers: int | None = None
    known: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        self.asked  # noqa: B018 - refuses unknown names
        if self.method and self.table not in TABLES:
            raise InputError(f"{self.table} is a figure; `method` is for tables, leave it out")
        object.__setattr__(self, "data", self.data or PUBLISHED[self.table].data)
        scales = PUBLISHED[self.table].scales
        check_known("scale", self.scale, scales, f"the scales of {self.table} are")
        for name, count in (("seeds", self.seeds), ("workers", self.workers)):
            if count is not None and count < 1:
                raise InputError(f"{name} is {count}; it must be at least 1")

    @property
    def how_much(self) -> Scale:
        """The scale."""
        return PUBLISHED[self.table].scales[self.scale]

    @property
    def identity(self) -> dict[str, str]:
        """What its folder says it holds."""
        return {"table": self.table, "data": self.data, "scale": self.scale}

    @property
    def default_out(self) -> Path:
        """The folder, if none is given: runs/TABLE-DATA, with the scale unless it is the paper's."""
        scale = "" if self.scale == "paper" else f"-{self.scale}"
        return Path("runs") / f"{self.table}-{Path(self.data).stem}{scale}"

    @property
    def asked(self) -> tuple[Recipe, ...]:
        """The rows asked for, the added ones last."""
        recipes = load_recipes(self.table)
        methods = self.method if isinstance(self.method, tuple) else (self.method,)
        return (*named(recipes, self.only, optional=self.optional), *added_recipes(recipes, methods))

    def recipes(self, out: Path) -> tuple[Recipe, ...]:
        """Return the rows asked for, and those that a folder, which need not exist, holds already.

        Raises:
            InputError: An added row could be taken for another one.
        """
        asked, recipes = self.asked, load_recipes(self.table)
        kept = added_recipes(recipes, kept_methods(out))
        added = (*kept, *(recipe for recipe in asked if recipe not in (*recipes, *kept)))
        first = [(recipe, self.runs(recipe, self.data)[0]) for recipe in (*recipes, *added)]
        check_names(self.table, first[: len(recipes)], first[len(recipes) :])
        there = {path.stem for path in (out / "configs").glob("*.yaml")}
        of_table = (
            recipe
            for recipe in recipes
            if recipe in asked or there & {run_name_of(config) for config in self.runs(recipe, self.data)}
        )
        return (*of_table, *added)

    def runs(self, recipe: Recipe, data: str) -> list[RunConfig]:
        """Return the runs of a row on data as their configs name it."""
        settings = PUBLISHED[self.table].settings_for(self.data)
        return runs_of(recipe, data, self.how_much, _FEWER_SEEDS.get(self.data, 0), settings)


def reproduce(
    choice: Reproduction,
    out: Path,
    *,
    resume: bool = False,
    console: Console | None = None,
    engine: Engine = LOCAL,
) -> list[dict[str, Any]]:
    """Run what is missing of a table and return its rows, one a run; one process per core.

    Args:
        choice: What.
        out: Folder of everything; that of a comparison, so that `report` works on it.
        resume: Go on with what lies there; finished runs are kept, new rows are added.
        console: Where progress is shown.
        engine: Where runs are trained.

    Raises:
        InputError: Anything that can be refused before training.
    """
    started = datetime.now(UTC)
    first = choice.runs(choice.asked[0], choice.data)[0]
    dataset = load(choice.data, images=first.images, sequences=first.sequences)
    PUBLISHED[choice.table].check_data(dataset)
    known = tuple(run for path in choice.known for run in read_finished(path))
    recipes = choice.recipes(out)
    for recipe in recipes:
        Run.resolve(choice.runs(recipe, choice.data)[0], dataset).check()  # before anything is written
    counts = choice.how_much.rows
    cut = counts if counts is not None and len(dataset.train) > counts[0] else None
    data = str(subset_path(out / "data", dataset, choice.scale)) if cut else choice.data
    pairs = [(config, recipe) for recipe in recipes for config in choice.runs(recipe, data)]
    pairs.sort(key=lambda pair: pair[0].seed)  # the first seed of everything first
    runs, rows = named_runs((config for config, _ in pairs), run_name_of), {run_name_of(c): one for c, one in pairs}
    kept = {"method": list(methods)} if (methods := kept_methods(out)) else {}
    check_kept(out, {**choice.identity, **kept}, "reproduction", resume=resume)
    check_runs(out, runs, "the recipe of {path.stem} has changed since {out} was begun")
    if console is not None and choice.scale == "paper" and PUBLISHED[choice.table].settings:
        console.print(cost_table(cost_of(Run.resolve(first, dataset)), f"each of {len(runs)} runs of {choice.table}"))
    here = choice.how_much.here and engine == LOCAL
    with engine.ready() as run_jobs, locked(out):
        if cut:
            write_subset(Path(data), dataset, cut)
        _write_configs(out, choice, runs, rows)
        subset = load(data, images=first.images, sequences=first.sequences)
        run = _run_here if here else run_jobs
        _run(out, choice, runs, rows, known, subset, started, console, run)
    table: list[dict[str, Any]] = read_json(out / "table.json")
    return table


def _run(
    out: Path,
    choice: Reproduction,
    runs: Mapping[str, RunConfig],
    recipes: Mapping[str, Recipe],
    known: tuple[FinishedRun, ...],
    dataset: Dataset,
    started: datetime,
    console: Console | None,
    run_jobs: RunJobs,
) -> None:
    seeds = choice.seeds or math.inf
    wanted = {name: run for name, run in runs.items() if recipes[name] in choice.asked and run.seed < seeds}
    import_finished(known, wanted, out, dataset.sha256)

    def record() -> None:
        rows = [row.to_record() for row in _rows(out, runs, recipes)]
        write_json(out / "table.json", rows)
        base = choice.runs(choice.asked[0], choice.data)[0]
        made = provenance_of(out, base, runs.values(), dataset, rows, started)
        title = f"{PUBLISHED[choice.table].title} on {choice.data}, made whole"
        notes = [note for note in (choice.how_much.note, _NOTES.get(choice.data, "")) if note]
        write_json(out / "provenance.json", {**made, "title": title, "notes": notes})

    record()  # a killed reproduction can be reported too
    kept = {name: snapshot_epochs(run.epochs, recipes[name].snapshots) for name, run in wanted.items()}
    try:
        run_shown(run_jobs, jobs_of(wanted, out, kept), choice.workers, console)
    finally:
        record()
    if not choice.how_much.here:  # a run of a second has no figures, and no cost
        time_finished(out, runs, dataset)
        record()


def _run_here(jobs: Sequence[Job], _workers: int | None, show: Show) -> None:
    """`run_jobs` for runs of a second each: in this process, one after the other."""
    for job in jobs:
        show(jobs)
        if job.status() != "waiting":
            continue
        config = read_config(job.config)
        with suppress(Diverged):  # metrics.json says so
            try:
                train(config, job.folder, resume=True, keep_checkpoints=job.keep_checkpoints)
            except InputError as error:
                write_json(job.failure, {**job.identity, "status": "failed", "failure": str(error)})


def _write_configs(
    out: Path, choice: Reproduction, runs: Mapping[str, RunConfig], recipes: Mapping[str, Recipe]
) -> None:
    """What it is comes first, so that a folder is known for what it is from the beginning; then one file a run."""
    table = load_recipes(choice.table)
    added = dict.fromkeys(recipe.method for recipe in recipes.values() if recipe not in table)
    write_atomic(out / "config.yaml", to_yaml(choice.identity | ({"method": list(added)} if added else {})))
    write_configs(out, runs)


def _rows(out: Path, runs: Mapping[str, RunConfig], recipes: Mapping[str, Recipe]) -> list[RunRow]:
    """The rows of table.json: all of a comparison's, with the row of the table they belong to."""
    rows = [
        row.updated(
            label=row_label(runs[row.run]),
            title=title_of(runs[row.run]),
            block=training_length(runs[row.run].epochs),
            recipe=recipes[row.run].name,
            paper=recipes[row.run].paper,
            elsewhere=[dict(figure) for figure in recipes[row.run].elsewhere],
            note=recipes[row.run].note,
        )
        for row in rows_of(out, runs)
    ]
    return sorted(rows, key=lambda row: -(row.epochs or 0))  # stable: within a block the order is that of the runs
