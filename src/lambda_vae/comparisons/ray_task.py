"""One run on a machine of a cluster: what it is told, what it brings home; knows nothing of Ray."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from lambda_vae.errors import InputError
from lambda_vae.files import write_atomic
from lambda_vae.runs._train import train
from lambda_vae.runs.config import RunConfig
from lambda_vae.runs.folder import RunFolder, is_locked
from lambda_vae.runs.resolve import Run
from lambda_vae.training import Diverged
from lambda_vae.training.checkpoints import path_of

__all__ = ["SETTINGS", "Files", "Note", "TaskResult", "TaskSpec", "pack", "run_task", "unpack"]

#: Where data is looked for; a machine's own setting wins over that of the machine that asks.
SETTINGS = ("LAMBDA_VAE_DATA", "LAMBDA_VAE_CACHE")

_NOTE_SECONDS = 2.0
# A lost machine's process may hold its folder a little longer; a file server notices within two minutes.
_LEAVE_SECONDS = 120.0

#: Files by their path below the folder that holds all runs.
Files = dict[str, bytes]

#: Told that the run of a name has begun (""), and what its progress.json says.
Note = Callable[[tuple[str, str]], None]


@dataclass(frozen=True)
class TaskSpec:
    """What a machine is told of a run.

    Args:
        name: Of the run.
        words: The command it stands for.
        config: The run.
        runs: The folder of all runs, where the task was given.
        mark: Name and content of a file in it, by which a machine that shares the folder knows it.
        home: Folder that a relative path of data starts from.
        data: Hash of the data there.
        version: Of this package there.
        fork: A checkpoint to start from, below `runs`.
        keep_checkpoints: Epoch ends whose checkpoint stays.
        settings: `SETTINGS` there.
    """

    name: str
    words: tuple[str, ...]
    config: RunConfig
    runs: Path
    mark: tuple[str, str]
    home: Path
    data: str
    version: str
    fork: str | None
    keep_checkpoints: tuple[int, ...]
    settings: Mapping[str, str]


@dataclass(frozen=True)
class TaskResult:
    """How a run ended.

    Args:
        code: As a process would exit.
        words: Why it failed; empty if it did not.
        files: What it wrote, if the folder is not shared.
    """

    code: int
    words: str
    files: Files


def run_task(spec: TaskSpec, fetch_files: Callable[[], Files], note: Note) -> TaskResult:
    """Train the run with one thread: in its own folder if this machine sees it, else in a temporary one.

    Args:
        spec: The run.
        fetch_files: Fetches the files that the run starts from, where the folder is not shared.
        note: See `Note`.

    Raises:
        Interrupted: The machine asked the process to stop; the run can be started again.
    """
    torch.set_num_threads(1)
    sys.argv = ["lambda-vae", *spec.words]  # what the run's provenance says made it
    for name, value in spec.settings.items():
        os.environ.setdefault(name, value)
    if spec.home.is_dir():
        os.chdir(spec.home)
    note((spec.name, ""))
    if _is_shared(spec):
        return _train(spec, spec.runs)
    with TemporaryDirectory(prefix="lambda-vae-") as place:
        runs = Path(place)
        unpack(fetch_files(), runs)
        with _noting(spec.name, runs, note):
            ended = _train(spec, runs)
        return replace(ended, files=pack(runs, _results(RunFolder(runs / spec.name), spec.keep_checkpoints)))


def _is_shared(spec: TaskSpec) -> bool:
    name, content = spec.mark
    with suppress(OSError):
        return (spec.runs / name).read_text() == content
    return False


def _train(spec: TaskSpec, runs: Path) -> TaskResult:
    folder = runs / spec.name
    _wait_for_leaver(folder)
    fork = runs / spec.fork if spec.fork is not None else None
    try:
        _check_machine(spec)
        train(spec.config, folder, resume=True, fork=fork, keep_checkpoints=spec.keep_checkpoints)
    except Diverged as failure:  # metrics.json says so too
        return TaskResult(1, str(failure), {})
    except InputError as refusal:
        return TaskResult(2, f"on {socket.gethostname()}: {refusal}", {})
    return TaskResult(0, "", {})


def _wait_for_leaver(folder: Path) -> None:
    end = time.monotonic() + _LEAVE_SECONDS
    while is_locked(folder) and time.monotonic() < end:
        time.sleep(0.2)


def _check_machine(spec: TaskSpec) -> None:
    """Refuse to train something else here than would have been trained there."""
    here = version("lambda-vae")
    if here != spec.version:
        raise InputError(f"lambda-vae is {here}, where the run comes from it is {spec.version}; install the same")
    data = Run.resolve(spec.config).dataset.sha256
    if data != spec.data:
        raise InputError(
            f"{spec.config.data} is other data (sha256 {data[:12]}, where the run comes from {spec.data[:12]}); put "
            "the same files on every machine"
        )


@contextmanager
def _noting(name: str, runs: Path, note: Note) -> Iterator[None]:
    """Pass on what progress.json says, whenever it has changed."""
    path, ended = runs / name / "progress.json", threading.Event()

    def watch() -> None:
        last = ""
        while not ended.wait(_NOTE_SECONDS):
            text = path.read_text() if path.exists() else ""
            if text != last:
                note((name, text))
            last = text

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _results(folder: RunFolder, keep: Iterable[int]) -> list[Path]:
    """All that the run wrote, but of its checkpoints only those that others go on from."""
    kept = {path_of(folder.checkpoints, epoch, 0) for epoch in keep}
    files = [path for path in folder.path.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return [path for path in files if path.parent != folder.checkpoints or path in kept]


def pack(runs: Path, paths: Iterable[Path]) -> Files:
    """Return the content of files."""
    return {path.relative_to(runs).as_posix(): path.read_bytes() for path in paths}


def unpack(files: Files, runs: Path) -> None:
    """Write files, each whole or not at all; metrics.json, which means that a run is whole, comes last."""
    for name in sorted(files, key=lambda name: (name.endswith("/metrics.json"), name)):
        write_atomic(runs / name, files[name])
