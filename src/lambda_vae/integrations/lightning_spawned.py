"""What a spawned training process hands back to the one that spawned it, which Lightning does for weights alone."""

import os
import tempfile
import uuid
import weakref
from pathlib import Path
from typing import Any

import torch

__all__ = ["Parcel"]


class Parcel:
    """State on its way to the process that makes this; the file goes with the owner, if nobody fetched it."""

    def __init__(self, owner: object) -> None:
        self._home, self._path = os.getpid(), Path(tempfile.gettempdir(), f"lambda-vae-{uuid.uuid4().hex}.pt")
        weakref.finalize(owner, self._path.unlink, missing_ok=True)

    def leave(self, trainer: Any, state: dict[str, Any]) -> None:
        """Leave state for the process that spawned this one; nothing where none did."""
        if (
            os.getpid() != self._home
            and hasattr(trainer.strategy.launcher, "get_extra_results")
            and not trainer.local_rank
        ):
            torch.save(state, self._path)

    def fetch(self) -> dict[str, Any] | None:
        """Return what was left since the last time, if anything was."""
        if os.getpid() != self._home or not self._path.exists():
            return None
        state: dict[str, Any] = torch.load(self._path, map_location="cpu", weights_only=True)
        self._path.unlink()
        return state
