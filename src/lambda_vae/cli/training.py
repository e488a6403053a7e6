"""Commands that train or show what was trained: one run, several side by side, a search for δ, published tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.table import Table

from lambda_vae import comparisons, paper, runs
from lambda_vae.checked import plain_number
from lambda_vae.cli.ending import fail, process_number
from lambda_vae.cli.parser import FROM_FILE
from lambda_vae.comparisons import CompareConfig
from lambda_vae.comparisons._tune import Tuned
from lambda_vae.comparisons._tune import tune as tuned
from lambda_vae.comparisons.executors import engine_named
from lambda_vae.comparisons.search_objectives import objective_named
from lambda_vae.errors import InputError
from lambda_vae.paper import FIGURES, FigureChoice, find_figure, reproduce_figure, write_figure
from lambda_vae.records import load_comparison
from lambda_vae.reports import write_report
from lambda_vae.reports.console import print_comparison
from lambda_vae.reports.publish import write_figures, write_results
from lambda_vae.runs import RunConfig
from lambda_vae.runs.cost import cost_of, cost_table
from lambda_vae.runs.resolve import Run

__all__ = ["compare", "report", "reproduce", "train", "tune", "tuned_table"]


def train(
    config: Annotated[RunConfig, FROM_FILE],
    out: Path,
    *,
    estimate: bool = False,
    report: bool = True,
    **settings: Annotated[Any, runs.train],
) -> Iterator[str | Table]:
    """Train one VAE, measure it and write a report.

    Args:
        out: folder for everything the command writes
        estimate: print FLOPs, memory and hours, and train nothing
        report: write report.html
    """
    if estimate:
        yield cost_table(cost_of(Run.resolve(config)), f"{config.method.name} on {config.data}")
        return
    yield runs.train(config, out, **settings)["verdict"]
    if report and process_number() == 0:
        yield _write_report(out)


def compare(
    base: Annotated[RunConfig, FROM_FILE, "method", "delta", "release_epochs"],
    choice: Annotated[CompareConfig, "methods", "settings"],
    out: Path,
    *,
    methods: Sequence[str] = ("vae", "warm-up", "lambda-vae"),
    method_settings: Mapping[str, Any],
    engine: str = "local",
    ray_address: str | None = None,
    console: Console,
    **settings: Annotated[Any, comparisons.compare],
) -> Iterator[str]:
    """Train several methods on the same data, order and noise, and put them side by side.

    Args:
        methods: see `lambda-vae list`; a name may fix settings of its own, such as beta-vae:beta=4
        engine: where runs are trained: local or ray
        ray_address: cluster of --engine ray: HOST:PORT, auto, or local for one of this machine alone; else RAY_ADDRESS
        out: folder for everything the command writes
    """
    choice = replace(choice, methods=tuple(methods), settings=method_settings)
    where = engine_named(engine, ray_address)
    rows = comparisons.compare(base, choice, out, engine=where, console=console, **settings)
    print_comparison(load_comparison(out), console)
    yield _write_report(out)
    _stop_if_any_failed(rows)


def tune(
    base: Annotated[RunConfig, FROM_FILE, "delta", "release_epochs"],
    out: Path,
    *,
    objective: str = "bound",
    tolerance: float | None = None,
    capacity: float | None = None,
    **settings: Annotated[Any, tuned],
) -> Iterator[str | Table]:
    """Search δ, and the release, for a stated objective, on a validation split.

    Args:
        objective: bound, active or capacity
        tolerance: active: nats from the best bound; 1 else
        capacity: capacity: the nats wanted
        out: folder for everything the command writes
    """
    wanted = objective_named(objective, tolerance=tolerance, capacity=capacity, latent_dim=base.latent_dim)
    yield tuned_table(tuned(base, wanted, out, **settings))
    yield _write_report(out)
    yield f"the run to train: lambda-vae train --config {out / 'tuned.yaml'} --out DIR"


def tuned_table(found: Tuned) -> Table:
    """Return what a search tried, by delta, the winner marked; if these runs do not tell one delta from another, that.

    Args:
        found: What it found.
    """
    caption = None if found.tells_delta else "These runs do not tell one δ from another; train for more epochs."
    table = Table(title="Tried, measured on the validation split", caption=caption)
    for heading in ("", "δ", "released", "NLL bound", "AU", "SNR capacity"):
        table.add_column(heading, justify="right")
    for point, outcome in sorted(found.outcomes.items(), key=lambda pair: (pair[0].release_epochs, pair[0].delta)):
        mark = "→" if point == found.point else ""
        numbers = (f"{outcome.nll_bound:.2f}", f"{outcome.active_units:.1f}", f"{outcome.snr_capacity:.1f}")
        table.add_row(mark, plain_number(point.delta), str(point.release_epochs or ""), *numbers)
    return table


def reproduce(
    table: str,
    choice: Annotated[dict[str, Any], paper.Reproduction],
    *,
    data: str | None = None,
    method: Sequence[str] = (),
    runs: Sequence[Path] = (),
    engine: str = "local",
    ray_address: str | None = None,
    out: Path | None = None,
    **settings: Annotated[Any, paper.reproduce],
) -> Iterator[str]:
    """Make a published table or figure anew, and put what was published next to ours.

    Args:
        table: table1 to table3, sequences, or figure1 to figure9
        data: other data than the table's or figure's own
        method: rows to add to a table, such as mypackage:Mine or mypackage:Mine:strength=0.5
        runs: draw a figure from these comparisons
        engine: where runs are trained: local or ray
        ray_address: cluster of --engine ray: HOST:PORT, auto, or local for one of this machine alone; else RAY_ADDRESS
        out: folder for everything; else one in runs/
    """
    settings["engine"] = engine_named(engine, ray_address)
    if table in FIGURES:
        words = {"method": method, **choice}
        if of_tables := [f"--{name}" for name in ("only", "optional", "method", "seeds", "known") if words[name]]:
            raise InputError(f"{table} is a figure; {', '.join(of_tables)} is for tables, leave it out")
        figure = FigureChoice(table, data, choice["scale"], choice["workers"], tuple(runs))
        out = out or figure.default_out
        rows = reproduce_figure(figure, out, **settings)
        yield f"figure: {out / f'{table}.svg'}"
        yield f"claims: {out / f'{table}.md'}"
    else:
        if runs:
            raise InputError(f"{table} is no figure; leave out --runs, or give --known an archive")
        rows_of = paper.Reproduction(table, data or "", method=tuple(method), **choice)
        out = out or rows_of.default_out
        rows = paper.reproduce(rows_of, out, **settings)
        yield f"table: {write_results(out, out / f'{table}.md')}"
        yield _write_report(out)
    _stop_if_any_failed(rows)


def report(run: Path, *, results: Path | None = None, epochs: Sequence[int] = ()) -> Iterator[str]:
    """Write the figures and the HTML report of a run or a comparison anew.

    Args:
        results: write a results page (.md) with all rows, too
        epochs: epochs whose readings that page shows
    """
    if drawn := find_figure(run):
        yield f"figure: {write_figure(drawn, results or run / (drawn['figure'] + '.md'))}"
        return
    if results is not None:
        yield f"results: {write_results(run, results, epochs)}"
    yield _write_report(run)


def _write_report(folder: Path) -> str:
    write_figures(folder)
    return f"report: {write_report(folder)}"


def _stop_if_any_failed(rows: Sequence[Mapping[str, Any]]) -> None:
    failed = [row["run"] for row in rows if row["status"] not in ("done", "waiting")]
    if failed:
        fail(f"{len(failed)} of {len(rows)} runs failed: {', '.join(failed)}; the report gives the reasons", code=1)
