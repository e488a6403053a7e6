"""Finished runs of comparisons and tables that a figure can be drawn from, so that nothing is trained twice."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from lambda_vae.errors import InputError
from lambda_vae.paper.recipe import Recipe, load_recipes, runs_of
from lambda_vae.paper.tables import PUBLISHED, SCALES
from lambda_vae.records.read import ComparisonRecord, RunRecord, load_comparison
from lambda_vae.runs.compose import method_named
from lambda_vae.runs.config import read_config

__all__ = ["found_runs"]


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
    if PUBLISHED[name].channels is not None and any(_is_grey(run) for run in picked):
        raise InputError(f"{PUBLISHED[name].title} is of RGB images and {record.path} was trained on grey ones")
    return replace(record, runs=tuple(picked), rows=tuple(run.row for run in picked))


def _like(recipe: Recipe, runs: Iterable[RunRecord]) -> RunRecord | None:
    config = runs_of(recipe, "", SCALES["paper"])[0]
    method = method_named(config.method)
    delta = config.delta if method.uses("delta") else None
    wanted = (method.name, delta, config.beta if method.uses("beta") else 1.0, 0)
    fitting = [
        run
        for run in runs
        if not run.failed and wanted == (run.row.method, run.row.delta, run.row.beta, run.row.release_epochs)
    ]
    return min(fitting, key=lambda run: (-(run.row.epochs or 0), run.row.seed or 0), default=None)


def _network(run: RunRecord) -> str | None:
    path = run.path / "config.yaml"
    return read_config(path).network if path.exists() else None


def _is_grey(run: RunRecord) -> bool:
    originals = run.images.get("originals")
    return originals is not None and originals.ndim != 4
