"""`kill -9` at any moment: the run goes on from a whole checkpoint and ends where the undisturbed one does."""

import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from small import Tensors, differing
from workers import KILLED_EPOCHS, train_to_the_end

from lambda_vae.training import checkpoints

KILLS = 6


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, processes: ForkServerContext) -> Tensors:
    return finished(tmp_path_factory.mktemp("undisturbed"), processes)


def finished(folder: Path, processes: ForkServerContext) -> Tensors:
    process = processes.Process(target=train_to_the_end, args=(str(folder),))
    process.start()
    process.join()
    assert process.exitcode == 0
    tensors: Tensors = torch.load(folder / "result.pt", weights_only=True)
    return tensors


def start_and_wait_for_progress(process: BaseProcess, folder: Path) -> None:
    """Until there is another checkpoint; no deadline but pytest's own, since a slow machine must not fail the test."""
    before = checkpoints.latest(folder)
    process.start()
    while checkpoints.latest(folder) == before and process.is_alive():
        time.sleep(0.001)


def test_killed_run_goes_on_from_a_whole_checkpoint(
    undisturbed: Tensors, tmp_path: Path, processes: ForkServerContext
) -> None:
    delays = random.Random(7)
    killed_at = []
    while len(killed_at) < KILLS:
        process = processes.Process(target=train_to_the_end, args=(str(tmp_path),))
        # Some progress each time, then any moment within about two epochs.
        start_and_wait_for_progress(process, tmp_path)
        time.sleep(delays.uniform(0.0, 0.03))
        process.kill()
        process.join()
        newest = checkpoints.latest(tmp_path)
        assert newest is not None
        epoch = checkpoints.load(newest).state["epoch"]  # whole, or this raises
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        killed_at.append(epoch)
    assert killed_at == sorted(killed_at)
    assert killed_at[0] < KILLED_EPOCHS
    assert differing(finished(tmp_path, processes), undisturbed) == []
    assert [path.name for path in tmp_path.glob(".*")] == []


def killing(monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """Die inside the writing of the third checkpoint."""
    from lambda_vae import files

    calls = iter(range(10**6))
    write, flush, rename = checkpoints.save_file, os.fsync, os.replace

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def handed_over(tensors: Tensors, path: Path, metadata: dict[str, str]) -> None:
        if next(calls) == 2:
            path.with_name(".tmpAw1zFW").touch()  # safetensors' own, which it renames once whole
            die()
        write(tensors, path, metadata=metadata)

    def half_written(tensors: Tensors, path: Path, metadata: dict[str, str]) -> None:
        write(tensors, path, metadata=metadata)
        if next(calls) == 2:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            die()

    def before(function: Callable[..., None]) -> Callable[..., None]:
        return lambda *arguments: die() if next(calls) == 2 else function(*arguments)

    def after(function: Callable[..., None]) -> Callable[..., None]:
        return lambda *arguments: (function(*arguments), die() if next(calls) == 2 else None)[0]

    {
        "in safetensors": lambda: monkeypatch.setattr(checkpoints, "save_file", handed_over),
        "half written": lambda: monkeypatch.setattr(checkpoints, "save_file", half_written),
        "not flushed": lambda: monkeypatch.setattr(files.os, "fsync", before(flush)),
        "not renamed": lambda: monkeypatch.setattr(files.os, "replace", before(rename)),
        "renamed, not pruned": lambda: monkeypatch.setattr(files.os, "replace", after(rename)),
    }[moment]()


def train_and_die(folder: str, moment: str) -> None:
    killing(pytest.MonkeyPatch(), moment)
    train_to_the_end(folder)


@pytest.mark.parametrize(
    ("moment", "newest"),
    [
        ("in safetensors", 2),
        ("half written", 2),
        ("not flushed", 2),
        ("not renamed", 2),
        ("renamed, not pruned", 3),
    ],
)
def test_death_while_a_checkpoint_is_written_leaves_the_one_before(
    moment: str, newest: int, undisturbed: Tensors, tmp_path: Path, processes: ForkServerContext
) -> None:
    process = processes.Process(target=train_and_die, args=(str(tmp_path), moment))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    path = checkpoints.latest(tmp_path)
    assert path == checkpoints.path_of(tmp_path, newest, 0)
    assert checkpoints.load(path).state["epoch"] == newest
    assert len(list(tmp_path.glob(".*.tmp.safetensors"))) == (newest == 2)
    assert differing(finished(tmp_path, processes), undisturbed) == []
    assert list(tmp_path.glob(".*")) == []
