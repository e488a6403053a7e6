"""State that a spawned training process returns to its parent, as Lightning does for weights alone."""

import os
import tempfile
import uuid
import weakref
from pathlib import Path
from typing import Any

import torch

__all__ = ["Parcel"]


class Parcel:
    """A file with state for the process that makes this; it is deleted with the owner."""

    def __init__(self, owner: object) -> None:
        self._home, self._path = os.getpid(), Path(tempfile.gettempdir(), f"lambda-vae-{uuid.uuid4().hex}.pt")
        weakref.finalize(owner, self._path.unlink, missing_ok=True)

    def leave(self, trainer: Any, state: dict[str, Any]) -> None:
        """Save state for the parent process, if this process was spawned."""
        if (
            os.getpid() != self._home
            and hasattr(trainer.strategy.launcher, "get_extra_results")
            and not trainer.local_rank
        ):
            torch.save(state, self._path)

    def fetch(self) -> dict[str, Any] | None:
        """Return the state saved since the last call, if any."""
        if os.getpid() != self._home or not self._path.exists():
            return None
        state: dict[str, Any] = torch.load(self._path, map_location="cpu", weights_only=True)
        self._path.unlink()
        return state
