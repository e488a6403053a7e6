"""The command line under test: called in this process, or in one that can be killed."""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from apart import FORKED
from safetensors.torch import load_file

from lambda_vae.cli import main

__all__ = [
    "TINY",
    "Said",
    "bars",
    "cli",
    "colours",
    "launch",
    "outcome",
    "own_cache",
    "tree",
    "wait_for",
    "write_bars",
    "write_colours",
]

#: A network and a measuring that take next to no time.
TINY = ["--hidden", "[16]", "--latent_dim", "3", "--batch_size", "20", "--iw_samples", "4", "--evaluate_every", "0"]


@dataclass(frozen=True)
class Said:
    """How a command ended.

    Args:
        code: Exit code.
        out: What it printed.
        err: What it complained of.
    """

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of prepared data for all tests of this session, and no other data in sight."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAMBDA_VAE_CACHE", str(folder))
        patch.setenv("COLUMNS", "200")
        patch.delenv("LAMBDA_VAE_DATA", raising=False)
        yield folder


@pytest.fixture
def cli(own_cache: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`cli("train", "--out", path)` runs the command in this process."""

    def run(*words: object) -> Said:
        capsys.readouterr()
        code = 0
        try:
            main([str(word) for word in words])
        except SystemExit as end:
            code = int(end.code or 0)
        return Said(code, *capsys.readouterr())

    return run


def write_bars(path: Path, train: int = 60, test: int = 20) -> Path:
    """Write labelled images of 6x5, uint8: three kinds of bars, with a little noise."""
    random = np.random.default_rng(0)

    def part(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(n) % 3
        images = random.integers(0, 40, (n, 6, 5))
        for image, label in zip(images, labels, strict=True):
            image[:, label + 1] += 200
        return images.astype(np.uint8), labels

    (x, y), (x_test, y_test) = part(train), part(test)
    np.savez(path, train=x, y_train=y, test=x_test, y_test=y_test)
    return path


def write_colours(path: Path, train: int = 100, test: int = 20) -> Path:
    """Write RGB images of 8x8, uint8, without labels: noise, for what needs colours and not sense."""
    pixels = np.random.default_rng(0).integers(0, 256, (train + test, 8, 8, 3), dtype=np.uint8)
    np.savez(path, train=pixels[:train], test=pixels[train:])
    return path


@pytest.fixture(scope="session")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same file for all tests of this session, so that it is prepared once."""
    return write_bars(tmp_path_factory.mktemp("bars") / "bars.npz")


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same file for all tests of this session, so that it is prepared once."""
    return write_colours(tmp_path_factory.mktemp("colours") / "colours.npz")


def _child(words: list[str], log: str, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    main(words)


def launch(words: Sequence[object], log: Path, **environment: str) -> Any:
    """Start a command in a process of its own; what it prints goes to `log`."""
    given = {name: os.environ[name] for name in ("LAMBDA_VAE_CACHE", "COLUMNS", "OMP_NUM_THREADS")}
    arguments = ([str(word) for word in words], str(log), {**given, **environment})
    process = FORKED.Process(target=_child, args=arguments, daemon=True)
    process.start()
    return process


def wait_for(condition: Callable[[], object], process: Any = None, seconds: float = 240.0) -> None:
    """Wait until something is so; fails if the process ends first or the time is up (a guard, not a measurement)."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        assert process is None or process.is_alive() or condition(), f"the process ended with {process.exitcode}"
        time.sleep(0.005)


def outcome(run: Path) -> dict[str, Any]:
    """All that a finished run comes to, times left out: measures, history, weights."""
    metrics = json.loads((run / "metrics.json").read_text())
    history = json.loads((run / "history.json").read_text())
    for record, name in ((metrics, "seconds"), (metrics, "ms_per_step"), (history, "seconds")):
        del record[name]
    weights = {name: tensor.tolist() for name, tensor in load_file(run / "model.safetensors").items()}
    return {"metrics": metrics, "history": history, "weights": weights}


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, to see that a refusal changed nothing."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
