"""Many runs on many machines: each one a task of a Ray cluster, which says where it runs and starts it again."""

import logging
import os
import re
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lambda_vae.comparisons.executor import RunJobs, Show, run_jobs
from lambda_vae.comparisons.job import Job
from lambda_vae.comparisons.ray_task import SETTINGS, Files, TaskResult, TaskSpec, pack, run_task, unpack
from lambda_vae.errors import InputError
from lambda_vae.files import write_atomic
from lambda_vae.runs.flat import read_config
from lambda_vae.runs.folder import RunFolder
from lambda_vae.runs.resolve import Run
from lambda_vae.training import Interrupted
from lambda_vae.training.checkpoints import latest

__all__ = ["RayEngine"]

#: How often a run is started again after its machine was lost or its process killed.
_RESTARTS = 3


@dataclass(frozen=True)
class RayEngine:
    """One task a run, with one core and one thread, on a Ray cluster that is there already.

    Args:
        address: HOST:PORT of the cluster, "auto" for the one that this machine belongs to, or "local" for a new one of
            this machine alone, which ends with the command; if not given, RAY_ADDRESS, or "auto".
    """

    address: str | None = None

    @contextmanager
    def ready(self) -> Iterator[RunJobs]:
        """Yield what runs jobs, on a connection to the cluster.

        Raises:
            InputError: Ray is not installed, or there is no cluster.
        """
        try:
            import ray
        except ImportError:
            raise InputError("ray is not installed; pip install 'lambda-vae[ray]'") from None
        if ray.is_initialized():  # the caller's own connection
            yield _run_tasks
            return
        _connect(self.address or os.environ.get("RAY_ADDRESS") or "auto")
        try:
            yield _run_tasks
        finally:
            ray.shutdown()


def _connect(address: str) -> None:
    import ray

    settings: dict[str, Any] = {"num_cpus": os.cpu_count(), "include_dashboard": False} if address == "local" else {}
    place = None if address in ("auto", "local") else _place(address)
    try:
        if place is not None:  # Ray itself waits for an answer without end
            socket.create_connection(place, timeout=10).close()
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **settings)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        where = "here" if address == "auto" else f"at {address}"
        raise InputError(
            f"there is no Ray cluster {where} ({reason}); start one with `ray start --head`, name another with "
            "`ray_address`, or use this machine alone with `ray_address=local`"
        ) from None


def _place(address: str) -> tuple[str, int]:
    parts = re.fullmatch(r"([^:/]+):(\d+)", address)
    if parts is None:
        raise InputError(f"the address of the Ray cluster is {address!r}; give HOST:PORT, auto or local")
    return parts[1], int(parts[2])


def _run_tasks(jobs: Sequence[Job], workers: int | None, show: Show) -> None:
    """`run_jobs` with a task for each run; Ray is given all of them at once if `workers` leaves it free to."""
    if not jobs:
        return
    runs = jobs[0].folder.parent
    with _marked(runs) as mark:
        tasks = _Tasks(runs, mark)
        run_jobs(jobs, workers or len(jobs), partial(tasks.show, show), tasks.launch)


@contextmanager
def _marked(runs: Path) -> Iterator[tuple[str, str]]:
    """Put a file into the folder whose name and content nobody can know who does not see this very folder."""
    name, content = f".shared-{secrets.token_hex(8)}", secrets.token_hex(16)
    write_atomic(runs / name, content)
    try:
        yield name, content
    finally:
        (runs / name).unlink(missing_ok=True)


class _Tasks:
    """Starts runs as tasks and takes in what they say of their progress.

    Args:
        runs: The folder of all runs.
        mark: As in `TaskSpec`.
    """

    def __init__(self, runs: Path, mark: tuple[str, str]) -> None:
        import ray
        from ray.util.queue import Queue
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        self.runs, self.mark = runs, mark
        self.notes = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        # A worker of its own for each run; one whose machine takes its leave politely is started again as well.
        settings: Any = {"num_cpus": 1, "max_calls": 1, "max_retries": _RESTARTS, "retry_exceptions": [Interrupted]}
        self.task = ray.remote(**settings)(_run_task)

    def launch(self, job: Job) -> "_Task":
        """Return the run, handed over."""
        import ray

        job.queued = True
        job.log.touch()
        spec = self._spec(job)
        return _Task(job, self.task.remote(spec, [ray.put(self._files_of(job, spec))], self.notes))

    def _spec(self, job: Job) -> TaskSpec:
        config, fork = read_config(job.config), job.fork if job.fork is not None and job.fork.exists() else None
        return TaskSpec(
            name=job.name,
            words=tuple(job.words()),
            config=config,
            runs=self.runs.resolve(),
            mark=self.mark,
            home=Path.cwd(),
            data=Run.resolve(config).dataset.sha256,
            version=version("lambda-vae"),
            fork=None if fork is None else fork.relative_to(self.runs).as_posix(),
            keep_checkpoints=job.keep_checkpoints,
            settings={name: os.environ[name] for name in SETTINGS if name in os.environ},
        )

    def _files_of(self, job: Job, spec: TaskSpec) -> Files:
        """The checkpoint that the run goes on from; the config next to it says what it is a checkpoint of."""
        newest = latest(RunFolder(job.folder).checkpoints) or (self.runs / spec.fork if spec.fork else None)
        return {} if newest is None else pack(self.runs, [newest, newest.parent.parent / "config.yaml"])

    def show(self, show: Show, jobs: Sequence[Job]) -> None:
        """Take in what was said of progress, and show the jobs."""
        by_name = {job.name: job for job in jobs}
        for name, progress in self._said():
            job = by_name[name]
            job.queued = False
            if progress and job.status() == "running":
                RunFolder(job.folder).claim(read_config(job.config))
                write_atomic(job.folder / "progress.json", progress)
        show(jobs)

    def _said(self) -> list[tuple[str, str]]:
        from ray.exceptions import RayError

        with suppress(RayError):  # progress is worth no run
            said: list[tuple[str, str]] = self.notes.get_nowait_batch(self.notes.qsize())
            return said
        return []


def _run_task(spec: TaskSpec, files: list[Any], notes: Any) -> TaskResult:  # noqa: ANN401 - Ray's own
    """The task itself."""
    import ray
    from ray.exceptions import RayError

    def note(said: tuple[str, str]) -> None:
        with suppress(RayError):
            notes.put_nowait(said)

    return run_task(spec, lambda: ray.get(files[0]), note)


class _Task:
    """A run that was handed over; answers as a process does.

    Args:
        job: The run.
        result: Ray's reference to how it ends.
    """

    def __init__(self, job: Job, result: Any) -> None:  # noqa: ANN401 - Ray's own
        self.job, self.result = job, result
        self.returncode: int | None = None
        self.cancelled = False

    def poll(self) -> int | None:
        """Return the exit code, or None while the run is on its way; its files are here before its code is."""
        import ray

        if self.returncode is None and ray.wait([self.result], timeout=0)[0]:
            ended = TaskResult(130, "", {}) if self.cancelled else self._ended()
            unpack(ended.files, self.job.folder.parent)
            if ended.words:
                with self.job.log.open("a", encoding="utf-8") as log:
                    log.write(f"{ended.words}\n")
            self.returncode = ended.code
        return self.returncode

    def _ended(self) -> TaskResult:
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            ended: TaskResult = ray.get(self.result)
        except RayTaskError as error:
            return TaskResult(1, str(error), {})
        except RayError as error:
            reason = " ".join(str(error).split())
            return TaskResult(2, f"lambda-vae: Ray gave the run up: {reason}", {})
        words = f"lambda-vae: {ended.words}" if ended.words else ""
        return replace(ended, words=words)

    def terminate(self) -> None:
        """Ask the run to save its checkpoint and end."""
        import ray

        self.cancelled = True
        ray.cancel(self.result)

    def wait(self) -> None:
        """Return when it has ended."""
        import ray

        ray.wait([self.result])
