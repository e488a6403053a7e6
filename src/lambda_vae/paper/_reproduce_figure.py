"""`reproduce figure1` to `figure9`: each figure of the paper from its runs, or from the theory alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console

from lambda_vae.checked import check_known
from lambda_vae.comparisons._compare import check_idle
from lambda_vae.comparisons.executor import LOCAL, Engine
from lambda_vae.errors import InputError
from lambda_vae.files import write_atomic
from lambda_vae.paper._reproduce import Reproduction, reproduce
from lambda_vae.paper.figure import Comparisons, PaperFigure
from lambda_vae.paper.figures import FIGURES, PUBLISHED, load_recipes, write_figure
from lambda_vae.paper.panels import all_runs
from lambda_vae.paper.recipe import Recipe, runs_of
from lambda_vae.paper.tables import SCALES
from lambda_vae.records.read import ComparisonRecord, RunRecord, load_comparison
from lambda_vae.runs.config import RunConfig, to_yaml
from lambda_vae.runs.flat import read_config
from lambda_vae.runs.folder import check_kept, locked
from lambda_vae.runs.provenance import command_line, provenance
from lambda_vae.runs.resolve import Run
from lambda_vae.runs.results import describe_data

__all__ = ["FigureChoice", "found_runs", "reproduce_figure"]


@dataclass(frozen=True)
class FigureChoice:
    """Which figure, from what.

    Args:
        name: A name in `FIGURES`.
        data: Other data than its own.
        scale: A name in `SCALES`.
        workers: Runs at a time; one a core if not given.
        runs: Folders of comparisons whose finished runs are drawn; nothing is trained then.

    Raises:
        InputError: An unknown name, data that does not fit the figure, or a comparison where none is of use.
    """

    name: str
    data: str | None = None
    scale: str = "paper"
    workers: int | None = None
    runs: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        check_known("figure", self.name, FIGURES, "the figures are")
        Reproduction(self.name, scale=self.scale, workers=self.workers)  # refuses what it does not know
        if self.data is not None and self.data not in self.figure.data and not self.figure.other_data:
            own = f"is made on {' and '.join(self.figure.data)}" if self.figure.data else "is theory and takes no data"
            raise InputError(f"{self.name} {own}; leave out `data={self.data}`")
        if self.runs and not self.figure.other_data:
            raise InputError(f"{self.name} is not drawn from the runs of others; leave out `runs={self._places}`")
        if len(self.runs) > 1 and not self.figure.table:
            raise InputError(f"{self.name} is drawn from one comparison; give one of `runs={self._places}`")

    @property
    def figure(self) -> PaperFigure:
        """The row of the table."""
        return FIGURES[self.name]

    @property
    def _places(self) -> str:
        return " ".join(map(str, self.runs))

    @cached_property
    def absent(self) -> tuple[str, ...]:
        """The data that it would be made on too but that is not there."""
        wanted = self.figure.also if self.data is None and not self.runs else ()
        return tuple(name for name in wanted if not _is_there(name))

    @property
    def all_data(self) -> tuple[str, ...]:
        """The data it is made on."""
        own = (*self.figure.data, *(name for name in self.figure.also if name not in self.absent))
        return own if self.data is None else (self.data,)

    @property
    def default_out(self) -> Path:
        """The folder, if none is given: runs/NAME, with data and scale unless they are the figure's own."""
        data = "" if self.data is None else f"-{Path(self.data).stem}"
        return Path("runs") / f"{self.name}{data}{'' if self.scale == 'paper' else f'-{self.scale}'}"

    @property
    def identity(self) -> dict[str, Any]:
        """What its folder says it holds."""
        own = {"runs": self._places} if self.runs else {"data": list(self.all_data), "scale": self.scale}
        return {"figure": self.name, **own}


def _is_there(name: str) -> bool:
    try:
        Run.resolve(RunConfig(data=name))
    except InputError:
        return False
    return True


def reproduce_figure(
    choice: FigureChoice,
    out: Path,
    *,
    resume: bool = False,
    console: Console | None = None,
    engine: Engine = LOCAL,
) -> list[dict[str, Any]]:
    """Run what is missing, draw the figure into `out` with its page, and return the rows of its runs.

    Args:
        choice: What.
        out: Folder of everything: NAME.md, .svg, .pdf and .json, and a comparison for each data set.
        resume: Go on with what lies there; finished runs are kept.
        console: Where progress is shown.
        engine: Where runs are trained.

    Raises:
        InputError: Anything that can be refused before training.
    """
    started = datetime.now(UTC)
    _check_data(choice)
    found = found_runs(choice.name, choice.runs) if choice.runs else None
    check_kept(out, choice.identity, "figure", resume=resume)
    check_idle(out)
    with locked(out):
        write_atomic(out / "config.yaml", to_yaml(choice.identity))
        comparisons = found or _train(choice, out, resume=resume, console=console, engine=engine)
        record = {
            "figure": choice.name,
            "numbers": choice.figure.numbers(comparisons),
            "provenance": _provenance(choice, comparisons, started),
            "notes": _notes(choice, comparisons),
        }
        write_figure(record, out / f"{choice.name}.md")
    return [row.to_record() for comparison in comparisons.values() for row in comparison.rows]


def _check_data(choice: FigureChoice) -> None:
    for name in () if choice.runs else choice.all_data:
        dataset = Run.resolve(RunConfig(data=name)).dataset
        if choice.figure.images and dataset.kind != "image":
            raise InputError(f"{choice.name} shows pictures and {name} holds vectors; give data of images")
        PUBLISHED[choice.name].check_data(dataset)


def _train(
    choice: FigureChoice, out: Path, *, resume: bool, console: Console | None, engine: Engine
) -> dict[str, ComparisonRecord]:
    comparisons = {}
    for data in choice.all_data:
        folder = out / Path(data).stem
        part = Reproduction(choice.name, data, choice.scale, workers=choice.workers)
        reproduce(part, folder, resume=resume, console=console, engine=engine)
        comparisons[data] = load_comparison(folder)
    return comparisons


def _provenance(choice: FigureChoice, comparisons: Comparisons, started: datetime) -> dict[str, Any]:
    runs = all_runs(comparisons)
    seeds = sorted({run.row.seed or 0 for run in runs})
    if choice.runs:
        described = [dict(comparison.provenance.get("data") or {}) for comparison in comparisons.values()]
    else:
        described = [describe_data(Run.resolve(RunConfig(data=name))) for name in choice.all_data]
    data = described[0] if len(described) == 1 else {"name": ", ".join(str(one.get("name")) for one in described)}
    made = {run.row.run: run.provenance.get("commit") for run in runs}
    return {**provenance(command_line(), seeds, data, {}, started), "runs": made}


def _notes(choice: FigureChoice, comparisons: Comparisons) -> list[str]:
    notes: dict[str, None] = {}  # a set that keeps its order
    for comparison in comparisons.values():
        notes |= dict.fromkeys(map(str, comparison.provenance.get("notes") or ()))
    lengths = sorted({run.row.epochs or 0 for run in all_runs(comparisons)})
    for recipe in load_recipes(choice.name)[:1]:
        if choice.runs and lengths != [recipe.epochs]:
            notes[f"These runs have {', '.join(map(str, lengths))} epochs; the paper's have {recipe.epochs}."] = None
    left_out = (f"{name} is left out, for it is not here; `lambda-vae data prepare {name}`." for name in choice.absent)
    return [*notes, *left_out]


def found_runs(name: str, folders: Sequence[Path]) -> dict[str, ComparisonRecord]:
    """Return comparisons cut down to one run for each of the figure's recipes, the longest, then the first; by data.

    Args:
        name: Of the figure.
        folders: Of comparisons or tables, each on other data.

    Raises:
        InputError: No comparison, none of its runs is of use, two on the same data, or grey images where the figure is
            of colours.
    """
    found: dict[str, ComparisonRecord] = {}
    for folder in folders:
        record = _cut(name, load_comparison(folder))
        data = record.data or "data"
        if data in found:
            raise InputError(f"{found[data].path} and {folder} are both on {data}; leave out one of them")
        found[data] = record
    return found


def _cut(name: str, record: ComparisonRecord) -> ComparisonRecord:
    recipes = load_recipes(name)
    network = PUBLISHED[name].settings.get("network")
    fitting = [run for run in record.runs if network is None or _network(run) == network]
    picked = [run for recipe in recipes if (run := _like(recipe, fitting)) is not None]
    if not picked:
        wanted = ", ".join(recipe.method for recipe in recipes)
        of_network = f" with network {network}" if network else ""
        raise InputError(
            f"{record.path} holds no finished run{of_network} that {name} shows; it shows {wanted}{of_network}"
        )
    originals = [run.images["originals"] for run in picked if "originals" in run.images]
    if PUBLISHED[name].channels is not None and any(images.ndim != 4 for images in originals):
        raise InputError(f"{PUBLISHED[name].title} is of RGB images and {record.path} was trained on grey ones")
    return replace(record, runs=tuple(picked), rows=tuple(run.row for run in picked))


def _like(recipe: Recipe, runs: Iterable[RunRecord]) -> RunRecord | None:
    config = runs_of(recipe, "", SCALES["paper"])[0]
    method = config.method
    wanted = (method.name, method.values.get("delta"), method.values.get("beta", 1.0), 0)
    fitting = [
        run
        for run in runs
        if not run.failed and wanted == (run.row.method, run.row.delta, run.row.beta, run.row.release_epochs)
    ]
    return min(fitting, key=lambda run: (-(run.row.epochs or 0), run.row.seed or 0), default=None)


def _network(run: RunRecord) -> str | None:
    path = run.path / "config.yaml"
    return read_config(path).network.name if path.exists() else None
