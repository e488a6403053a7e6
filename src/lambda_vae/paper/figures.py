"""`reproduce figure1` to `figure9`: each figure of the paper from its runs, or from the theory alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console

from lambda_vae.checked import check_known
from lambda_vae.comparisons.executor import LOCAL, Engine
from lambda_vae.errors import InputError
from lambda_vae.files import write_atomic
from lambda_vae.paper._reproduce import Reproduction, reproduce
from lambda_vae.paper.drawings import write_drawing
from lambda_vae.paper.figure_found import found_runs
from lambda_vae.paper.figure_images import alignments_record, capacities_record
from lambda_vae.paper.figure_reconstructions import pixelcnn_record, reconstructions_record
from lambda_vae.paper.figure_runs import histograms_record, mixtures_record, pictures_record
from lambda_vae.paper.figure_theory import causes_record, equalization_record
from lambda_vae.paper.recipe import Recipe, load_recipes
from lambda_vae.paper.tables import PUBLISHED
from lambda_vae.records.read import ComparisonRecord, RunRecord, load_comparison
from lambda_vae.runs.build import load_data
from lambda_vae.runs.config import RunConfig, to_yaml
from lambda_vae.runs.folder import check_kept, check_room, is_locked, locked
from lambda_vae.runs.provenance import command_line, provenance
from lambda_vae.runs.results import describe_data

__all__ = ["FIGURES", "FigureChoice", "PaperFigure", "reproduce_figure"]

Comparisons = Mapping[str, ComparisonRecord]


@dataclass(frozen=True)
class PaperFigure:
    """A row of the table of figures; what it looks like stands in `reports.drawings`, its runs in recipes/NAME.

    Args:
        collect: From its finished runs, by data, to the numbers that are drawn.
        data: What it is made on, a comparison each; none for theory alone.
        other_data: Whether it may be asked for on other data.
        images: Whether that must be images.
        several: Whether it has a panel for each data set, so that it can be drawn from several comparisons.
        also: Further data that it is made on where they are there.
    """

    collect: Callable[[Comparisons], dict[str, Any]]
    data: tuple[str, ...] = ()
    other_data: bool = False
    images: bool = False
    several: bool = False
    also: tuple[str, ...] = ()


def _all_runs(comparisons: Comparisons) -> list[RunRecord]:
    return [run for record in comparisons.values() for run in record.runs]


def _of_table(collect: Callable[[Comparisons], dict[str, Any]], *also: str) -> PaperFigure:
    """A figure of the runs of Table 2 or 3; `PUBLISHED` knows their recipes."""
    return PaperFigure(collect, ("cifar10",), other_data=True, several=True, also=also)


#: Every figure of the paper that is reproduced, by its name on the command line.
FIGURES: dict[str, PaperFigure] = {
    "figure1": PaperFigure(lambda _: causes_record()),
    "figure2": PaperFigure(lambda _: equalization_record()),
    "figure3": PaperFigure(
        lambda comparisons: mixtures_record(comparisons, max(r.snapshots for r in load_recipes("figure3"))),
        ("gaussian-mixture-2", "gaussian-mixture-4"),
    ),
    "figure4": PaperFigure(lambda comparisons: histograms_record(_all_runs(comparisons)), ("mnist",), other_data=True),
    "figure5": PaperFigure(
        lambda comparisons: pictures_record(_all_runs(comparisons)), ("omniglot",), other_data=True, images=True
    ),
    "figure6": _of_table(capacities_record, "celeba64"),
    "figure7": _of_table(alignments_record, "celeba64"),
    "figure8": _of_table(reconstructions_record, "celeba64"),
    "figure9": _of_table(pixelcnn_record),
}


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
            raise InputError(f"{self.name} {own}; leave out --data {self.data}")
        if self.runs and not self.figure.other_data:
            raise InputError(f"{self.name} is not drawn from the runs of others; leave out --runs {self._places}")
        if len(self.runs) > 1 and not self.figure.several:
            raise InputError(f"{self.name} is drawn from one comparison; give one of --runs {self._places}")

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
        load_data(RunConfig(data=name))
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
    """Run what is missing, draw the figure into `out` with the page beside it, and return the rows of its runs.

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
    _check_folder(out, choice, resume=resume)
    with locked(out):
        write_atomic(out / "config.yaml", to_yaml(choice.identity))
        comparisons = found or _train(choice, out, resume=resume, console=console, engine=engine)
        record = {
            "figure": choice.name,
            "numbers": choice.figure.collect(comparisons),
            "provenance": _provenance(choice, comparisons, started),
            "notes": _notes(choice, comparisons),
        }
        write_drawing(record, out / f"{choice.name}.md")
    return [row.to_record() for comparison in comparisons.values() for row in comparison.rows]


def _check_data(choice: FigureChoice) -> None:
    for name in () if choice.runs else choice.all_data:
        dataset = load_data(RunConfig(data=name))
        if choice.figure.images and dataset.kind != "image":
            raise InputError(f"{choice.name} shows pictures and {name} holds vectors; give data of images")
        PUBLISHED[choice.name].check_data(dataset)


def _check_folder(out: Path, choice: FigureChoice, *, resume: bool) -> None:
    """Refuse a folder with anything else in it, or with a process still at work; nothing is written."""
    check_kept(out, choice.identity, "figure", resume=resume)
    if is_locked(out):
        raise InputError(f"another process is at work in {out}; wait until it ends, or choose another --out")
    check_room(out)


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
    runs = _all_runs(comparisons)
    seeds = sorted({run.row.seed or 0 for run in runs})
    if choice.runs:
        described = [dict(comparison.provenance.get("data") or {}) for comparison in comparisons.values()]
    else:
        described = [describe_data(RunConfig(data=name), load_data(RunConfig(data=name))) for name in choice.all_data]
    data = described[0] if len(described) == 1 else {"name": ", ".join(str(one.get("name")) for one in described)}
    made = {run.row.run: run.provenance.get("commit") for run in runs}
    return {**provenance(command_line(), seeds, data, {}, started), "runs": made}


def _notes(choice: FigureChoice, comparisons: Comparisons) -> list[str]:
    notes: dict[str, None] = {}  # a set that keeps its order
    for comparison in comparisons.values():
        notes |= dict.fromkeys(map(str, comparison.provenance.get("notes") or ()))
    for recipe, lengths in _other_lengths(choice, comparisons):
        notes[f"These runs have {', '.join(map(str, lengths))} epochs; the paper's have {recipe.epochs}."] = None
    left_out = (f"{name} is left out, for it is not here; `lambda-vae data prepare {name}`." for name in choice.absent)
    return [*notes, *left_out]


def _other_lengths(choice: FigureChoice, comparisons: Comparisons) -> Sequence[tuple[Recipe, list[int]]]:
    lengths = sorted({run.row.epochs or 0 for run in _all_runs(comparisons)})
    first = load_recipes(choice.name)[:1]
    return [(recipe, lengths) for recipe in first if choice.runs and lengths != [recipe.epochs]]
