"""The folder of a run: what lies in it, and who may write to it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lambda_vae.errors import InputError
from lambda_vae.experiments.config import RunConfig, read_config, write_config
from lambda_vae.training.checkpoints import latest

__all__ = ["RunFolder"]

# A run that cannot write its checkpoints should fail before training, not after.
_LEAST_FREE_BYTES = 64 * 2**20


class RunFolder:
    """Paths of one run.

    Args:
        path: The folder; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.metrics = path / "metrics.json"
        self.history = path / "history.json"
        self.provenance = path / "provenance.json"
        self.images = path / "images.npz"
        self.model = path / "model.safetensors"
        self.checkpoints = path / "checkpoints"
        self.report = path / "report.html"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training here at the same time; a killed process leaves no lock behind.

        Raises:
            InputError: Another process is training here.
        """
        import fcntl

        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise InputError(
                f"another process is training in {self.path}; wait for it, or choose another --out"
            ) from None
        finally:
            os.close(descriptor)

    def claim(self, config: RunConfig, *, resume: bool) -> bool:
        """Make the folder this run's own; write its config if it is new.

        Args:
            config: The run.
            resume: Go on with what lies there.

        Returns:
            Whether there is a checkpoint or a result to go on from.

        Raises:
            InputError: The folder holds another run, or this one and resume is off, or other files, or the disk is full.
        """
        if self.config.exists():
            self._check_same(config)
            if not resume:
                raise InputError(
                    f"{self.path} holds this very run already; add --resume to go on, or choose another --out"
                )
        elif self.path.is_dir() and any(p.name != ".lock" for p in self.path.iterdir()):
            raise InputError(f"{self.path} is not empty and holds no run; choose another --out")
        elif self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file; choose another --out")
        self.path.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.path).free
        if free < _LEAST_FREE_BYTES:
            raise InputError(
                f"only {free / 2**20:.0f} MiB are free at {self.path}; free some room or choose another --out"
            )
        if not self.config.exists():
            write_config(self.config, config)
        return latest(self.checkpoints) is not None or self.metrics.exists()

    def _check_same(self, config: RunConfig) -> None:
        there = read_config(self.config)
        different = [name for name in RunConfig.__dataclass_fields__ if getattr(there, name) != getattr(config, name)]
        if different:
            name = different[0]
            raise InputError(
                f"{self.path} holds another run: its {name} is {getattr(there, name)!r}, here it is {getattr(config, name)!r}; "
                "choose another --out"
            )
