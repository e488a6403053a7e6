"""Training, side by side: ours, pythae's trainer, the usual DataLoader loop, a JAX scan, and the bare matrix products.

Every contender is a process of its own on the same core; they take turns, an epoch each, for as many rounds as asked.
Ratios are taken within a round, so a machine that slows down slows them all. Writes results/benchmarks.md and
results/benchmarks.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from contenders import CONTENDERS
from facts import facts
from images import training_images
from lambda_vae.files import write_atomic, write_json
from single_core import on_one_core
from table import page, row

__all__ = ["Session", "measure"]

HERE = Path(__file__).parent

_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
    "CUDA_VISIBLE_DEVICES": "",
}


class Session:
    """A contender in a process of its own, which trains one epoch at a time when told to.

    Args:
        name: In `CONTENDERS`.
        examples: Images an epoch.
        batch_size: Examples a step.
        log: Where everything goes that it prints.
    """

    def __init__(self, name: str, examples: int, batch_size: int, log: Path) -> None:
        self.name, self.log, self.failure = name, log, ""
        command = [sys.executable, str(HERE / "session.py"), name, str(examples), str(batch_size)]
        with log.open("w") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env={**os.environ, **_ONE_THREAD},
                text=True,
            )

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()  # its input ends, and it leaves

    def _answer(self) -> dict[str, float] | None:
        line = self.process.stdout.readline() if self.process.stdout else ""
        values = json.loads(line) if line else {"missing": self._last_words()}
        self.failure = values.get("missing", "")
        return None if self.failure else values

    def _last_words(self) -> str:
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else "it ended without a word"

    def ready(self) -> bool:
        """Wait until it can train; False, with `failure` set, if it cannot here."""
        return self._answer() is not None

    def epoch(self) -> dict[str, float] | None:
        """Let it train an epoch; its seconds of process CPU time, `cpu`, and of wall clock, `wall`."""
        if self.process.stdin is None or self.process.poll() is not None:
            return None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._answer()


def measure(
    names: Sequence[str], examples: int, batch_size: int, rounds: int
) -> tuple[dict[str, list[dict[str, float]]], dict[str, str]]:
    """Return the epochs of each contender, the warm-up first, and why others could not run.

    Args:
        names: In `CONTENDERS`.
        examples: Images an epoch.
        batch_size: Examples a step.
        rounds: Epochs each, after the warm-up.
    """
    epochs: dict[str, list[dict[str, float]]] = {}
    failures: dict[str, str] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running = []
        for name in names:
            session = stack.enter_context(Session(name, examples, batch_size, folder / f"{name}.log"))
            if session.ready() and (first := session.epoch()):
                print(f"{CONTENDERS[name].label}: warmed up in {first['wall']:.1f} s", flush=True)
                epochs[name] = [first]
                running.append(session)
            else:
                print(f"{CONTENDERS[name].label}: left out: {session.failure}", flush=True)
                failures[name] = session.failure
        for number in range(rounds):
            for session in running:
                turn = session.epoch()
                if turn is None:
                    raise RuntimeError(f"{session.name} broke off: {session.failure}")
                epochs[session.name].append(turn)
            print(f"round {number + 1} of {rounds}", flush=True)
    return epochs, failures


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="epochs of each contender, after one to warm up")
    parser.add_argument("--examples", type=int, default=20_000, help="images an epoch")
    parser.add_argument("--batch_size", type=int, default=100, help="examples a step")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), help="contenders, in order")
    parser.add_argument("--out", type=Path, default=HERE.parent / "results", help="folder for the two files")
    return parser.parse_args()


def main() -> None:
    """Measure, print the table, write both files."""
    options = _arguments()
    on_one_core()  # inherited by all of them
    described = training_images(options.examples)[1]
    epochs, failures = measure(options.only, options.examples, options.batch_size, options.rounds)
    steps = options.examples // options.batch_size
    record: dict[str, Any] = {
        **facts(("pythae", "jax", "jaxlib")),
        "data": f"{options.examples:,} images an epoch, {described}",
        "batch_size": options.batch_size,
        "rounds": options.rounds,
        "rows": [row(name, epochs, steps) for name in epochs],
        "left_out": failures,
    }
    write_json(options.out / "benchmarks.json", record)
    write_atomic(options.out / "benchmarks.md", page(record))
    print("\n" + page(record))


if __name__ == "__main__":
    main()
