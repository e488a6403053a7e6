"""Many runs, one single-threaded process per core."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lambda_vae.errors import InputError
from lambda_vae.files import read_json, write_json

__all__ = ["Job", "run_jobs"]

_POLL_SECONDS = 0.5
_LONGEST_REASON = 600


@dataclass(eq=False)
class Job:
    """One command that leaves `folder/metrics.json` behind.

    Args:
        name: For the display.
        folder: Of the run.
        command: Words after the program's name.
        fork: A checkpoint that `parent` writes on its way; the job waits for it, and does without if the parent ends
            without it.
        parent: The job that writes `fork`.
        keep_checkpoints: Epoch ends whose checkpoint the command keeps.
        identity: What failure.json says of the run if the process dies without a word.
    """

    name: str
    folder: Path
    command: Sequence[str]
    fork: Path | None = None
    parent: "Job | None" = None
    keep_checkpoints: tuple[int, ...] = ()
    identity: dict[str, Any] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def log(self) -> Path:
        """Where the process's words go; beside the folder, which belongs to the process."""
        return self.folder.parent / f"{self.folder.name}.log"

    @property
    def failure(self) -> Path:
        """Why the process left no metrics.json."""
        return self.folder.parent / f"{self.folder.name}.failure.json"

    def status(self) -> str:
        """Return "done", "failed", "running" or "waiting"."""
        if self.process is not None and self.process.poll() is None:
            return "running"
        metrics = self.folder / "metrics.json"
        if metrics.exists():
            return str(read_json(metrics)["status"])
        return "failed" if self.process is not None else "waiting"

    def ready(self) -> bool:
        """Return whether a waiting job may start."""
        if self.fork is None or self.parent is None or self.fork.exists():
            return True
        return self.parent.status() in ("done", "failed")

    def start(self) -> None:
        """Start the process with one thread."""
        self.failure.unlink(missing_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        fork = ["--fork", str(self.fork)] if self.fork is not None and self.fork.exists() else []
        command = [sys.executable, "-m", "lambda_vae.cli", *self.command, *fork]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C reaches this process alone, which then asks each run to save.
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
            )

    def note_failure(self) -> None:
        """Write down why a dead process left no result."""
        if self.process is None or self.status() != "failed" or (self.folder / "metrics.json").exists():
            return
        write_json(self.failure, {**self.identity, "status": "failed", "failure": self._last_words()})

    def _last_words(self) -> str:
        code = self.process.returncode if self.process is not None else 0
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        last = lines[-1][:_LONGEST_REASON] if lines else ""
        # A sentence of ours says all; the last line of a process that broke down needs its circumstances.
        if code > 0 and last.startswith("lambda-vae: "):
            return last.removeprefix("lambda-vae: ")
        ended = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return f"the process {ended}; " + (f"its log ends: {last}" if last else "its log is empty")


def run_jobs(jobs: Sequence[Job], workers: int, show: Callable[[Sequence[Job]], None]) -> None:
    """Run all jobs that are not done, `workers` at a time; one failing leaves the others alone.

    Args:
        jobs: In the order in which they should start.
        workers: Processes at a time.
        show: Called every half second.

    Raises:
        KeyboardInterrupt: SIGINT or SIGTERM; like any other exception it is passed on after every running job has been
            asked to save its checkpoint and has ended.
        InputError: workers is below 1.
    """
    if workers < 1:
        raise InputError(f"workers is {workers}; it must be at least 1")
    with _termination_as_interrupt():
        try:
            while _start_what_can(jobs, workers):
                show(jobs)
                time.sleep(_POLL_SECONDS)
            show(jobs)
        except BaseException:
            _stop(jobs)
            raise
    for job in jobs:
        job.note_failure()


def _start_what_can(jobs: Sequence[Job], workers: int) -> bool:
    """Fill the free places; returns whether anything runs."""
    running = sum(job.status() == "running" for job in jobs)
    for job in jobs:
        if running < workers and job.status() == "waiting" and job.ready():
            job.start()
            running += 1
    return running > 0


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt inside; only in the main thread, for Python allows no handlers outside it."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(jobs: Sequence[Job]) -> None:
    """Ask every running job to save its checkpoint and end."""
    running = [job.process for job in jobs if job.process is not None and job.process.poll() is None]
    for process in running:
        process.terminate()
    for process in running:
        process.wait()
