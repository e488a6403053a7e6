"""The main job: the same data, order and noise for every method, one table, one report."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lambda_vae.comparisons.executor import LOCAL, Engine, RunJobs
from lambda_vae.comparisons.job import Job
from lambda_vae.comparisons.reuse import import_finished, read_finished
from lambda_vae.data import Dataset
from lambda_vae.errors import InputError
from lambda_vae.files import read_json, write_atomic, write_json
from lambda_vae.methods import METHODS, Method
from lambda_vae.methods.spec import check_importable, parse, text_of
from lambda_vae.records.run_row import RunRow
from lambda_vae.runs._train import last_shared_epoch
from lambda_vae.runs.config import RunConfig, read_yaml, to_yaml
from lambda_vae.runs.flat import as_exact, config_data, differences, flat, flattened, read_config, write_config
from lambda_vae.runs.folder import check_room, is_empty, is_locked, locked
from lambda_vae.runs.processes import check_trackers
from lambda_vae.runs.provenance import command_line, provenance, provenance_of_runs
from lambda_vae.runs.resolve import Run
from lambda_vae.runs.results import describe_data, identity, run_name
from lambda_vae.runs.step_cost import kept_costs, step_cost, time_steps
from lambda_vae.training.checkpoints import path_of

__all__ = [
    "CompareConfig", "check_idle", "check_runs", "compare", "jobs_of", "named_runs", "plan", "progress",
    "provenance_of", "rows_of", "run_shown", "time_finished", "write_configs",
]  # fmt: skip


@dataclass(frozen=True)
class CompareConfig:
    """Which runs are compared.

    Args:
        methods: As text, which may fix settings of its own ("beta-vae:beta=4"), or as they are to be run.
        delta: For each method with δ, one run a value.
        release_epochs: For each method with λ and each δ, one run a value; 0 is without release.
        seeds: How many seeds, from 0.
        workers: Runs at a time; one a core if not given.
        settings: By their names in records, for every method in text that has one and does not fix it itself.
    """

    methods: tuple[str | Method, ...] = ("vae", "warm-up", "lambda-vae")
    delta: tuple[float, ...] = (1.01, 1.19)
    release_epochs: tuple[int, ...] = (0,)
    seeds: int = 1
    workers: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def plan(base: RunConfig, choice: CompareConfig) -> list[RunConfig]:
    """Return the runs, the first seed of everything first.

    Raises:
        InputError: Unknown method, no method, no seed, or a value out of range.
    """
    for name in ("methods", "delta", "release_epochs"):
        if not getattr(choice, name):
            raise InputError(f"{name} is empty; give at least one")
    if choice.seeds < 1:
        raise InputError(f"seeds is {choice.seeds}; it must be at least 1")
    if choice.workers is not None and choice.workers < 1:
        raise InputError(f"workers is {choice.workers}; it must be at least 1")
    # What the base's own method is set to goes for all, as what is given for all does.
    drawn = {} if base.train.samples == 1 else {"samples": base.train.samples}
    shared = {**drawn, **base.method.shown, **choice.settings}
    methods = [method for asked in choice.methods for method in _varied(asked, choice, shared)]
    seeds = range(base.seed, base.seed + choice.seeds)
    configs = [_with(base.with_seed(seed), method) for seed in seeds for method in methods]
    return list(dict.fromkeys(configs))


def _with(base: RunConfig, method: Method) -> RunConfig:
    """The base with a method; one that has a number of samples of its own decides about it."""
    train = replace(base.train, samples=1) if method.uses("samples") else base.train
    return replace(base, method=method, train=train)


def _varied(asked: str | Method, choice: CompareConfig, shared: Mapping[str, Any]) -> list[Method]:
    """A method that was asked for, at every value that it leaves open."""
    if isinstance(asked, Method):
        return [asked]
    method, fixed = parse(asked)
    lists: dict[str, tuple[Any, ...]] = {"release_epochs": choice.release_epochs, "delta": choice.delta}
    open_ = {name: values for name, values in lists.items() if method.uses(name) and name not in fixed}
    given = {name: value for name, value in shared.items() if name in method.values and name not in (*fixed, *lists)}
    return [
        method.with_settings(**given, **dict(zip(open_, values, strict=True))) for values in product(*open_.values())
    ]


def named_runs(configs: Iterable[RunConfig], name_of: Callable[[RunConfig], str] = run_name) -> dict[str, RunConfig]:
    """Return runs by the names of their folders.

    Raises:
        InputError: Two different runs would have the same folder.
    """
    runs: dict[str, RunConfig] = {}
    for config in configs:
        name = name_of(config)
        if runs.setdefault(name, config) != config:
            one, other = (text_of(run.method) for run in (runs[name], config))
            raise InputError(f"{one} and {other} would both be kept as {name}; give one of them another name")
    return runs


def jobs_of(runs: Mapping[str, RunConfig], out: Path, kept: Mapping[str, Sequence[int]] | None = None) -> list[Job]:
    """Return one job a run; a released run is the unreleased one at first, so it starts from that one's checkpoint.

    Args:
        runs: By the names of their folders.
        out: Folder of the comparison.
        kept: Epoch ends whose checkpoint stays for other reasons, by the name of the run.
    """
    jobs = {name: _job(name, config, out) for name, config in runs.items()}
    names = {config: name for name, config in runs.items()}
    keep: dict[str, list[int]] = {name: list(epochs) for name, epochs in (kept or {}).items() if epochs}
    for name, config in runs.items():
        if not config.method.values.get("release_epochs"):
            continue
        unreleased = replace(config, method=config.method.with_settings(release_epochs=0))
        parent, epoch = names.get(unreleased), last_shared_epoch(config)
        if parent is not None and epoch > 0:
            keep.setdefault(parent, []).append(epoch)
            jobs[name].parent = jobs[parent]
            jobs[name].fork = path_of(jobs[parent].folder / "checkpoints", epoch, 0)
    for name, epochs in keep.items():
        jobs[name].keep_checkpoints = tuple(epochs)
        jobs[name].command = [*jobs[name].command, "--keep_checkpoints", *map(str, epochs)]
    return list(jobs.values())


def _job(name: str, config: RunConfig, out: Path) -> Job:
    folder = out / "runs" / name
    words = ["train", "--config", str(out / "configs" / f"{name}.yaml"), "--out", str(folder)]
    return Job(name, folder, [*words, "--resume", "--report", "false"], identity=identity(config))


def compare(
    base: RunConfig,
    choice: CompareConfig,
    out: Path,
    *,
    resume: bool = False,
    known: Sequence[Path] = (),
    console: Console | None = None,
    engine: Engine = LOCAL,
) -> list[dict[str, Any]]:
    """Run every method on the same data, order and noise, and return the table; one process per core.

    Args:
        base: What all runs share.
        choice: What tells them apart.
        out: Folder of the comparison.
        resume: Go on with what lies there; finished runs are kept.
        known: Archives of results pages, whose runs count as done where they are exactly the same.
        console: Where progress is shown.
        engine: Where runs are trained.

    Returns:
        The rows of table.json, one a run.

    Raises:
        InputError: Anything that can be refused before training.
    """
    started = datetime.now(UTC)
    runs = named_runs(plan(base, choice))
    check_trackers(base.trackers)
    done = tuple(run for path in known for run in read_finished(path))
    dataset = Run.resolve(base).dataset
    for config in {config.with_seed(0): config for config in runs.values()}.values():
        check_importable(config.method)
        Run.resolve(config, dataset).check()  # before anything is written
    _check_folder(out, base, choice, runs, resume=resume)

    def record() -> list[dict[str, Any]]:
        rows = [row.to_record() for row in rows_of(out, runs)]
        write_json(out / "table.json", rows)
        write_json(out / "provenance.json", provenance_of(out, base, runs.values(), dataset, rows, started))
        return rows

    with engine.ready() as run, locked(out):
        _write_configs(out, base, choice, runs)
        import_finished(done, runs, out, dataset.sha256)
        try:
            run_shown(run, jobs_of(runs, out), choice.workers, console)
        finally:  # what is done can be read and reported, also after an interruption
            record()
        time_finished(out, runs, dataset)
        return record()


def run_shown(run: RunJobs, jobs: Sequence[Job], workers: int | None, console: Console | None) -> None:
    """Run jobs, and show on the console where they stand."""
    with Live(console=console or Console(quiet=True), refresh_per_second=2, transient=True) as live:
        run(jobs, workers, lambda now: live.update(progress(now)))


def provenance_of(
    out: Path,
    base: RunConfig,
    configs: Iterable[RunConfig],
    dataset: Dataset,
    rows: Sequence[dict[str, Any]],
    started: datetime,
) -> dict[str, Any]:
    """Return what provenance.json says of the rows of runs in a folder."""
    options = {name: getattr(base.train, name) for name in ("precision", "matmul")}
    seeds = sorted({config.seed for config in configs})
    record = provenance(command_line(), seeds, describe_data(Run.resolve(base, dataset)), options, started)
    return {**record, **provenance_of_runs(out, rows)}


def _check_folder(
    out: Path, base: RunConfig, choice: CompareConfig, runs: Mapping[str, RunConfig], *, resume: bool
) -> None:
    """Refuse a folder with anything else in it, or with processes still at work; nothing is written."""
    if not is_empty(out):
        if not (out / "configs").is_dir():
            raise InputError(f"{out} is not empty and holds no comparison; choose another `out`")
        if not resume:
            raise InputError(f"{out} holds a comparison already; add `resume=True` to go on, or choose another `out`")
        there = flattened(read_yaml(out / "config.yaml")) if (out / "config.yaml").exists() else {}
        here = _shared(as_exact(base), choice)
        if there.get("matmul") == "auto":
            there["matmul"] = here["matmul"]
        for name in there.keys() & here.keys():
            if there[name] != here[name]:
                raise InputError(
                    f"{out} holds another comparison: its {name} is {there[name]!r}, here it is {here[name]!r}; "
                    "choose another `out`"
                )
    check_runs(out, runs, "{out} holds another comparison (its {path.name} differs)")


def check_runs(out: Path, runs: Mapping[str, RunConfig], differs: str) -> None:
    """Refuse a folder that holds another config of a run, where a process is at work, or that has no room.

    Args:
        out: The folder.
        runs: By the names of their folders.
        differs: What is said of another config, with {out} and {path}.
    """
    for name, config in runs.items():
        path = out / "configs" / f"{name}.yaml"
        if path.exists() and differences(read_config(path), config):
            raise InputError(f"{differs.format(out=out, path=path)}; choose another `out`")
    check_idle(out, runs)


def check_idle(out: Path, names: Iterable[str] = ()) -> None:
    """Refuse a folder where a process is at work, in it or in one of these runs of it, or that has no room."""
    busy = [path for path in (out, *(out / "runs" / name for name in names)) if is_locked(path)]
    if busy:
        raise InputError(f"another process is training in {busy[0]}; wait until it ends, or choose another `out`")
    check_room(out)


def _shared(base: RunConfig, choice: CompareConfig) -> dict[str, Any]:
    """What all runs of a comparison have in common, by flat names, as YAML has it."""
    defaults = {name: value for method in METHODS.values() for name, value in method.values.items()}
    varied = ("method", "delta", "release_epochs", "samples")
    values = {**defaults, **flat(base), **choice.settings}
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items() if name not in varied
    }


def write_configs(out: Path, runs: Mapping[str, RunConfig]) -> None:
    """Write one file a run."""
    for name, config in runs.items():
        write_config(out / "configs" / f"{name}.yaml", config)


def _write_configs(out: Path, base: RunConfig, choice: CompareConfig, runs: Mapping[str, RunConfig]) -> None:
    """One file a run, and one that `compare --config` takes back; that one comes last."""
    write_configs(out, runs)
    methods = [text_of(asked) if isinstance(asked, Method) else asked for asked in choice.methods]
    values = {"methods": methods, "delta": choice.delta, "release_epochs": choice.release_epochs, "seeds": choice.seeds}
    settings = {**base.method.shown, **choice.settings}
    values["settings"] = {name: value for name, value in settings.items() if name not in ("delta", "release_epochs")}
    shared = {name: value for name, value in config_data(base).items() if name != "method"}
    write_atomic(out / "config.yaml", to_yaml({**values, **shared}))


def rows_of(out: Path, runs: Mapping[str, RunConfig]) -> list[RunRow]:
    """Return the rows of table.json: one a run, every scalar of its metrics.json."""
    rows, costs = [], kept_costs(out)
    for name, config in runs.items():
        sources = (out / "runs" / name / "metrics.json", out / "runs" / f"{name}.failure.json")
        source = next((path for path in sources if path.exists()), None)
        record = read_json(source) if source else {**identity(config), "status": "waiting"}
        row = RunRow.from_record(record, source or out).as_measured_today(record.get("dimensions"))
        cost = step_cost(costs, config, record)
        rows.append(row.updated(run=name, path=f"runs/{name}", label=config.method.label, step_cost=cost))
    return rows


def time_finished(out: Path, runs: Mapping[str, RunConfig], dataset: Dataset) -> None:
    """Time a step of every setting that came to its end, so that `rows_of` can tell what it costs."""
    time_steps(out, [runs[row.run] for row in rows_of(out, runs) if row.done], dataset)


def progress(jobs: Sequence[Job]) -> Group:
    """Return what is shown while runs train: those at work, and how many are done."""
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
    statuses = [job.status() for job in jobs]
    waiting = statuses.count("waiting") + statuses.count("queued")
    line = Text(
        f"{statuses.count('done')} of {len(jobs)} runs done, {waiting} waiting, {statuses.count('failed')} failed"
    )
    return Group(table, line)
