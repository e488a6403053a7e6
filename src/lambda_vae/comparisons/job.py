"""One run of many: its command, where it stands, and why it failed."""

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lambda_vae.files import read_json, write_json

__all__ = ["Job", "Launch", "Process"]

_LONGEST_REASON = 600


@runtime_checkable
class Process(Protocol):
    """What is asked of a run at work; `subprocess.Popen` has it all."""

    @property
    def returncode(self) -> int | None:
        """As `poll` found it."""

    def poll(self) -> int | None:
        """Return the exit code, a killing signal's below 0, or None while it lives."""

    def terminate(self) -> None:
        """Ask it to save its checkpoint and end."""

    def wait(self) -> object:
        """Return when it has ended."""


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
        process: Once started.
        queued: Whether it is started and its engine has no place for it yet.
    """

    name: str
    folder: Path
    command: Sequence[str]
    fork: Path | None = None
    parent: "Job | None" = None
    keep_checkpoints: tuple[int, ...] = ()
    identity: dict[str, Any] = field(default_factory=dict)
    process: Process | None = None
    queued: bool = False

    @property
    def config(self) -> Path:
        """Its config, which the comparison wrote."""
        return self.folder.parent.parent / "configs" / f"{self.name}.yaml"

    @property
    def log(self) -> Path:
        """Where the process's words go; next to the folder, which belongs to the process."""
        return self.folder.parent / f"{self.folder.name}.log"

    @property
    def failure(self) -> Path:
        """Why the process left no metrics.json."""
        return self.folder.parent / f"{self.folder.name}.failure.json"

    def status(self) -> str:
        """Return "done", "failed", "running", "queued" or "waiting"."""
        if self.process is not None and self.process.poll() is None:
            return "queued" if self.queued else "running"
        metrics = self.folder / "metrics.json"
        if metrics.exists():
            return str(read_json(metrics)["status"])
        return "failed" if self.process is not None else "waiting"

    def ready(self) -> bool:
        """Return whether a waiting job may start."""
        if self.fork is None or self.parent is None or self.fork.exists():
            return True
        return self.parent.status() in ("done", "failed")

    def words(self) -> list[str]:
        """Return the command, with the checkpoint to start from if it is there by now."""
        fork = ["--fork", str(self.fork)] if self.fork is not None and self.fork.exists() else []
        return [*self.command, *fork]

    def start(self, launch: "Launch") -> None:
        """Start the run."""
        self.failure.unlink(missing_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.process = launch(self)

    def note_failure(self) -> None:
        """Write down why a dead process left no result."""
        if self.process is None or self.status() != "failed" or (self.folder / "metrics.json").exists():
            return
        write_json(self.failure, {**self.identity, "status": "failed", "failure": self._last_words()})

    def _last_words(self) -> str:
        code = 0 if self.process is None else self.process.returncode or 0
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        last = lines[-1][:_LONGEST_REASON] if lines else ""
        # A sentence of ours says all; the last line of a process that broke down needs its circumstances.
        if code > 0 and last.startswith("lambda-vae: "):
            return last.removeprefix("lambda-vae: ")
        ended = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return f"the process {ended}; " + (f"its log ends: {last}" if last else "its log is empty")


#: Starts a job's run.
Launch = Callable[[Job], Process]
