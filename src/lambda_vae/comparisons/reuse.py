"""Runs that another machine has done already: taken from a results page's archive where they are exactly the same."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lambda_vae.errors import InputError
from lambda_vae.files import read_json, write_json
from lambda_vae.methods.spec import own_modules
from lambda_vae.records.read import check_dimensions
from lambda_vae.records.run_row import RunRow
from lambda_vae.runs.config import RunConfig
from lambda_vae.runs.flat import as_exact, flattened, from_flat, write_config
from lambda_vae.runs.folder import RunFolder

__all__ = ["FinishedRun", "import_finished", "read_finished"]


@dataclass(frozen=True)
class FinishedRun:
    """A finished run as an archive holds it.

    Args:
        config: Of the run.
        row: The scalars of its metrics.json.
        dimensions: What that says of each dimension.
        test: Its readings on the test set during training.
        provenance: Of the run itself: its own commit, machine and data.
    """

    config: RunConfig
    row: RunRow
    dimensions: Mapping[str, Any]
    test: tuple[Mapping[str, Any], ...]
    provenance: Mapping[str, Any]


def read_finished(path: Path) -> tuple[FinishedRun, ...]:
    """Return the finished runs of an archive.

    Runs whose method lies in a module that is not imported are left out: whoever asks for that method has imported it,
    and nothing that came from elsewhere is run unasked.

    Raises:
        InputError: It is none, or damaged.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("runs"), list):
        raise InputError(f"{path} is no archive of runs; give the .json next to a results page")
    rows = {row["run"]: row for row in content.get("rows", ()) if isinstance(row, dict) and "run" in row}
    for record in content["runs"]:
        if not isinstance(record, dict) or record.get("run") not in rows or not isinstance(record.get("config"), dict):
            raise InputError(f"{path} is damaged: a run in it has no row or no config; restore it")
    return tuple(_finished(record, rows, path) for record in content["runs"] if _is_ours(record["config"]))


def _is_ours(config: Mapping[str, Any]) -> bool:
    """Whether reading the method of a config imports nothing."""
    method = config.get("method")
    names = "+".join(map(str, method)) if isinstance(method, Mapping) else str(method)
    return all(module in sys.modules for module in own_modules(names))


def _finished(record: Mapping[str, Any], rows: Mapping[str, Any], path: Path) -> FinishedRun:
    row = RunRow.from_record(rows[record["run"]], path)
    dimensions = record.get("dimensions") or {}
    check_dimensions(dimensions, row.latent_dim, path)
    where = f"{path}: {record['run']}: "
    config = from_flat(flattened(record["config"], where), where)
    return FinishedRun(config, row, dimensions, tuple(record.get("test") or ()), record.get("provenance") or {})


def import_finished(
    finished: tuple[FinishedRun, ...], configs: Mapping[str, RunConfig], out: Path, sha256: str
) -> list[str]:
    """Write the records of finished runs where runs with exactly their config, on the same data, are still to come.

    Returns:
        The names of the runs that were imported.
    """
    done = [run for run in finished if _data_hash(run) == sha256 and run.row.done]
    by_config = {_spelt_out(run.config): run for run in done}
    imported = []
    for name, config in configs.items():
        folder, run = RunFolder(out / "runs" / name), by_config.get(_spelt_out(config))
        if run is None or folder.config.exists():
            continue
        write_config(folder.config, config)
        write_json(folder.history, {"epochs": [], "test": list(run.test)})
        write_json(folder.provenance, {**run.provenance, "known": True})
        metrics = {key: value for key, value in run.row.to_record().items() if key != "path"}
        # What a method is called follows its defaults, which may have changed since; its numbers do not.
        called = {"label": config.method.label, "settings": config.method.shown}
        write_json(folder.metrics, {**metrics, **called, "dimensions": run.dimensions})
        imported.append(name)
    return imported


def _spelt_out(config: RunConfig) -> RunConfig:
    """The same run with its route of products, and the number of samples that its method takes if none is given."""
    config = as_exact(config)
    if not config.method.uses("samples"):
        return config
    return replace(config, method=config.method.with_settings(samples=config.method.draws(1)))


def _data_hash(run: FinishedRun) -> object:
    data = run.provenance.get("data")
    return data.get("sha256") if isinstance(data, dict) else None
