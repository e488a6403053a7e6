"""The main job: the same data, order and noise for every method, one table, one report."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lambda_vae.errors import InputError
from lambda_vae.experiments.build import load_data
from lambda_vae.experiments.config import RunConfig, read_config, write_config
from lambda_vae.experiments.engine import Job, run_jobs
from lambda_vae.experiments.methods import method_named
from lambda_vae.experiments.provenance import command_line, provenance
from lambda_vae.experiments.run import describe_data, make_trainer, run_name
from lambda_vae.files import read_json, write_json
from lambda_vae.training.checkpoints import path_of

__all__ = ["CompareConfig", "compare", "gather", "plan"]


@dataclass(frozen=True)
class CompareConfig:
    """Which runs stand side by side.

    Args:
        methods: Names of methods.
        delta: For each method with λ, one run a value.
        release_epochs: For each method with λ and each δ, one run a value; 0 is without release.
        seeds: How many seeds, from 0.
        workers: Processes at a time; one a core if not given.
    """

    methods: tuple[str, ...] = ("vae", "warm-up", "lambda-vae")
    delta: tuple[float, ...] = (1.01, 1.19)
    release_epochs: tuple[int, ...] = (0,)
    seeds: int = 1
    workers: int | None = None


def plan(base: RunConfig, choice: CompareConfig) -> list[RunConfig]:
    """Return the runs, the first seed of everything first.

    Args:
        base: What all runs share.
        choice: What tells them apart.

    Raises:
        InputError: Unknown method, no method, no seed, or a value out of range.
    """
    if choice.seeds < 1 or not choice.methods:
        raise InputError(
            f"{choice.seeds} seeds of {len(choice.methods)} methods leave nothing to run; ask for at least one of each"
        )
    configs: list[RunConfig] = []
    for seed in range(choice.seeds):
        for name in choice.methods:
            method = method_named(name)
            run = replace(base, method=name, seed=base.seed + seed, trackers=base.trackers)
            if not method.uses_delta():
                configs.append(replace(run, release_epochs=0))
                continue
            configs += [
                replace(run, delta=delta, release_epochs=n) for n in choice.release_epochs for delta in choice.delta
            ]
    return list(dict.fromkeys(configs))


def _jobs(configs: Sequence[RunConfig], out: Path) -> list[Job]:
    """One job a run. A released run is the unreleased one up to its release, so it starts from that one's checkpoint."""
    by_name = {run_name(config): config for config in configs}
    forks: dict[str, tuple[int, ...]] = {}
    jobs = []
    for name, config in by_name.items():
        folder = out / "runs" / name
        words = ["train", "--config", str(out / "configs" / f"{name}.yaml"), "--out", str(folder), "--resume"]
        parent = run_name(replace(config, release_epochs=0))
        waits_for = None
        # The exponent of the first released epoch is set at the end of the epoch before, so the paths part one epoch earlier.
        epoch = config.epochs - config.release_epochs - 1
        if config.release_epochs and parent in by_name and epoch > 0:
            forks[parent] = (*forks.get(parent, ()), epoch)
            waits_for = path_of(out / "runs" / parent / "checkpoints", epoch, 0)
            words += ["--fork", str(waits_for)]
        jobs.append(
            Job(name, folder, words, waits_for, identity={"run": name, "method": config.method, "seed": config.seed})
        )
    for job in jobs:
        if job.name in forks:
            job.command = [*job.command, "--keep_checkpoints", *map(str, forks[job.name])]
    return jobs


def compare(
    base: RunConfig, choice: CompareConfig, out: Path, *, resume: bool = False, console: Console | None = None
) -> list[dict[str, Any]]:
    """Run every method on the same data, order and noise, and return the table; one process per core.

    Args:
        base: What all runs share.
        choice: What tells them apart.
        out: Folder of the comparison.
        resume: Go on with what lies there; finished runs are kept.
        console: Where progress is shown.

    Returns:
        The rows of table.json, one a run.

    Raises:
        InputError: Anything that can be refused before training.
    """
    import os

    started = datetime.now(UTC)
    configs = plan(base, choice)
    dataset = load_data(base)
    for config in {(c.method, c.delta, c.release_epochs): c for c in configs}.values():
        make_trainer(config, dataset, None, [])  # refuses what does not fit before anything is written
    _claim(out, configs, resume=resume)
    jobs = _jobs(configs, out)
    with Live(console=console, refresh_per_second=2, transient=True) as live:
        run_jobs(jobs, choice.workers or os.cpu_count() or 1, lambda shown: live.update(_progress(shown)))
    rows = gather(out, configs)
    options = {"precision": base.precision, "matmul": base.matmul, "compile": base.compile}
    record = provenance(
        command_line(), sorted({c.seed for c in configs}), describe_data(base, dataset), options, started
    )
    record["seconds_training"] = sum(row.get("seconds") or 0.0 for row in rows)
    write_json(out / "provenance.json", record)
    return rows


def _claim(out: Path, configs: Sequence[RunConfig], *, resume: bool) -> None:
    folder = out / "configs"
    if out.is_file():
        raise InputError(f"{out} is a file; choose another --out")
    if out.is_dir() and any(out.iterdir()):
        if not folder.is_dir():
            raise InputError(f"{out} is not empty and holds no comparison; choose another --out")
        if not resume:
            raise InputError(f"{out} holds a comparison already; add --resume to go on, or choose another --out")
    for config in configs:
        path = folder / f"{run_name(config)}.yaml"
        if path.exists() and read_config(path) != config:
            raise InputError(f"{out} holds another comparison (its {path.name} differs); choose another --out")
    for config in configs:
        write_config(folder / f"{run_name(config)}.yaml", config)


def gather(out: Path, configs: Sequence[RunConfig]) -> list[dict[str, Any]]:
    """Write and return table.json: one row a run, every scalar of its metrics.json.

    Args:
        out: Folder of the comparison.
        configs: Its runs.
    """
    rows = []
    for config in configs:
        name = run_name(config)
        folder = out / "runs" / name
        source = next((p for p in (folder / "metrics.json", folder / "failure.json") if p.exists()), None)
        label = method_named(config.method).label(config)
        missing = {
            "run": name,
            "method": config.method,
            "seed": config.seed,
            "status": "failed",
            "failure": "it was not run",
        }
        record = {"label": label, **(read_json(source) if source else missing)}
        record.pop("dimensions", None)
        rows.append({**record, "path": f"runs/{name}"})
    write_json(out / "table.json", rows)
    return rows


def _progress(jobs: Sequence[Job]) -> Group:
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "epoch", "loss", "AU", "left"):
        table.add_column(heading, justify="left" if heading == "run" else "right")
    running = [job for job in jobs if job.status() == "running"]
    for job in running:
        path = job.folder / "progress.json"
        record = read_json(path) if path.exists() else {}
        epoch, epochs = record.get("epoch", 0), record.get("epochs", 0)
        left = (record.get("seconds") or 0.0) * (epochs - epoch)
        state = f"{epoch}/{epochs}" if epoch < epochs or not epochs else "measuring"
        loss = f"{record['loss']:.2f}" if record.get("loss") is not None else ""
        active = f"{record['active_units']:.0f}" if record.get("active_units") is not None else ""
        table.add_row(Text(job.name), state, loss, active, f"{left / 60:.1f} min")
    counts = {status: sum(job.status() == status for job in jobs) for status in ("done", "failed", "waiting")}
    line = Text(f"{counts['done']} of {len(jobs)} runs done, {counts['waiting']} waiting, {counts['failed']} failed")
    return Group(table, line)
