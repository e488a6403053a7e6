"""Many runs: the loop that starts, follows and stops them, and the engine that runs one process per core here."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from lambda_vae.comparisons.job import Job, Launch, Process
from lambda_vae.errors import InputError

__all__ = ["LOCAL", "Engine", "LocalEngine", "RunJobs", "Show", "run_jobs"]

_POLL_SECONDS = 0.5

#: Draws the jobs as they stand.
Show = Callable[[Sequence[Job]], None]

#: (jobs, workers, show): as `run_jobs`, where workers may be left to the engine.
RunJobs = Callable[[Sequence[Job], int | None, Show], None]


@runtime_checkable
class Engine(Protocol):
    """Where the runs of a comparison are trained."""

    def ready(self) -> AbstractContextManager[RunJobs]:
        """Yield what runs jobs; nothing is written.

        Raises:
            InputError: No run could be started.
        """


@dataclass(frozen=True)
class LocalEngine:
    """One single-threaded process per core of this machine."""

    def ready(self) -> AbstractContextManager[RunJobs]:
        """Yield what runs jobs."""
        return nullcontext(lambda jobs, workers, show: run_jobs(jobs, workers or os.cpu_count() or 1, show))


LOCAL = LocalEngine()


def _process_here(job: Job) -> Process:
    """The job's command with one thread."""
    command = [sys.executable, "-m", "lambda_vae.cli", *job.words()]
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    # A method of one's own is found by the run where it is found here.
    environment = {**os.environ, **one_thread, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with job.log.open("ab") as log:
        # A session of its own: Ctrl-C reaches this process alone, which then asks each run to save.
        return subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
        )


def run_jobs(jobs: Sequence[Job], workers: int, show: Show, launch: Launch = _process_here) -> None:
    """Run all jobs that are not done, `workers` at a time; one failing leaves the others alone.

    Raises:
        KeyboardInterrupt: SIGINT or SIGTERM; like any other exception it is passed on after every running job has been
            asked to save its checkpoint and has ended.
        InputError: workers is below 1.
    """
    if workers < 1:
        raise InputError(f"workers is {workers}; it must be at least 1")
    with _interrupts() as check:
        try:
            while _start_what_can(jobs, workers, launch):
                show(jobs)
                time.sleep(_POLL_SECONDS)
                check()
            show(jobs)
        except BaseException:
            _stop(jobs)
            raise
    for job in jobs:
        job.note_failure()


def _start_what_can(jobs: Sequence[Job], workers: int, launch: Launch) -> bool:
    """Fill the free places; returns whether anything runs."""
    running = sum(job.status() in ("running", "queued") for job in jobs)
    for job in jobs:
        if running < workers and job.status() == "waiting" and job.ready():
            job.start(launch)
            running += 1
    return running > 0


@contextmanager
def _interrupts() -> Iterator[Callable[[], None]]:
    """What is yielded raises KeyboardInterrupt if SIGINT or SIGTERM has come.

    At once they raise it only the second time: a job that is just being started would be lost and live on. Only in the
    main thread, for Python allows no handlers outside it.
    """
    came: list[int] = []

    def note(number: int, _frame: object) -> None:
        came.append(number)
        if len(came) > 1:
            raise KeyboardInterrupt

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(jobs: Sequence[Job]) -> None:
    """Ask every running job to save its checkpoint and end."""
    running = [job.process for job in jobs if job.process is not None and job.process.poll() is None]
    for process in running:
        process.terminate()
    for process in running:
        process.wait()
