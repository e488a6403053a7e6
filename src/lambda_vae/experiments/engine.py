"""Many runs, one single-threaded process per core."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lambda_vae.errors import InputError
from lambda_vae.files import read_json, write_json

__all__ = ["Job", "run_jobs"]

_POLL_SECONDS = 0.5


@dataclass(eq=False)
class Job:
    """One command that leaves `folder/metrics.json` behind.

    Args:
        name: For the display.
        folder: Of the run.
        command: Words after the interpreter.
        waits_for: A file that must exist before the job starts; it is skipped if the job that writes it failed.
        identity: What metrics.json says of the run if the process dies without a word.
    """

    name: str
    folder: Path
    command: Sequence[str]
    waits_for: Path | None = None
    identity: dict[str, Any] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    def status(self) -> str:
        """Return "done", "failed", "running" or "waiting"."""
        if self.process is not None and self.process.poll() is None:
            return "running"
        metrics = self.folder / "metrics.json"
        if metrics.exists():
            return str(read_json(metrics)["status"])
        return "failed" if self.process is not None else "waiting"

    def start(self) -> None:
        """Start the process with one thread; what it prints goes to `folder/log.txt`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            command = [sys.executable, "-m", "lambda_vae.cli", *self.command]
            # A session of its own: Ctrl-C reaches this process alone, which then asks each run to save.
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
            )

    def note_failure(self) -> None:
        """Write down why a dead process left no result."""
        if self.status() != "failed" or (self.folder / "metrics.json").exists():
            return
        log = self.folder.parent / f"{self.folder.name}.log"
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        reason = (
            lines[-1] if lines else f"the process ended with code {self.process.returncode if self.process else None}"
        )
        write_json(self.folder / "failure.json", {**self.identity, "status": "failed", "failure": reason})


def run_jobs(jobs: Sequence[Job], workers: int, show: Callable[[Sequence[Job]], None]) -> None:
    """Run all jobs that are not done, `workers` at a time; one failing leaves the others alone.

    Args:
        jobs: In the order in which they should start.
        workers: Processes at a time.
        show: Called every half second.

    Raises:
        KeyboardInterrupt: Passed on after every running job has been asked to save its checkpoint and has ended.
        InputError: workers is below 1.
    """
    if workers < 1:
        raise InputError(f"workers is {workers}; it must be at least 1")
    before = signal.signal(signal.SIGTERM, _as_keyboard_interrupt)
    try:
        while any(job.status() in ("waiting", "running") for job in jobs):
            free = workers - sum(job.status() == "running" for job in jobs)
            ready = [job for job in jobs if job.status() == "waiting" and _ready(job)]
            running = free < workers
            for job in ready[: max(free, 0)]:
                job.start()
                running = True
            if not running:  # what the rest waits for will never come
                break
            show(jobs)
            time.sleep(_POLL_SECONDS)
        show(jobs)
    except KeyboardInterrupt:
        _stop(jobs)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
        for job in jobs:
            job.note_failure()


def _ready(job: Job) -> bool:
    return job.waits_for is None or job.waits_for.exists()


def _as_keyboard_interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _stop(jobs: Sequence[Job]) -> None:
    """Ask every running job to save its checkpoint and end."""
    running = [job.process for job in jobs if job.process is not None and job.process.poll() is None]
    for process in running:
        process.terminate()
    for process in running:
        process.wait()
