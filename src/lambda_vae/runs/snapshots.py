"""A run as it was at the end of several epochs, from the checkpoints that it kept."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.model import VAE
from lambda_vae.runs.folder import RunFolder
from lambda_vae.runs.resolve import Run
from lambda_vae.training import checkpoints

__all__ = ["Snapshot", "snapshot_epochs", "snapshots"]


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The model at the end of an epoch.

    Args:
        epoch: Counted from 1.
        vae: In evaluation mode, with lambda as set at the end of that epoch.
    """

    epoch: int
    vae: VAE

    @property
    def exponent(self) -> Float[Tensor, " D"] | None:
        """Lambda; None for a method without."""
        return self.vae.equalization.exponent


def snapshot_epochs(epochs: int, count: int) -> tuple[int, ...]:
    """Return at most `count` epoch ends, the first and the last among them, each later than the one before by a factor.

    Args:
        epochs: Length of the training.
        count: How many are wanted; 0 for none.

    Example:
        >>> snapshot_epochs(100, 5)
        (1, 3, 10, 32, 100)
    """
    return tuple(sorted({round(float(epoch)) for epoch in np.geomspace(1, epochs, count)})) if count else ()


def snapshots(path: Path, run: Run, count: int) -> Iterator[Snapshot]:
    """Yield the model at each of `snapshot_epochs`.

    Args:
        path: Folder of the run.
        run: Which.
        count: As the run was told.

    Raises:
        InputError: A checkpoint is gone or damaged.
    """
    for epoch in snapshot_epochs(run.config.epochs, count):
        source = checkpoints.path_of(RunFolder(path).checkpoints, epoch, 0)
        if not source.is_file():
            raise InputError(f"{path} kept no checkpoint of epoch {epoch}; remove the folder and train the run again")
        checkpoint = checkpoints.load(source)
        vae = run.build_vae()
        vae.load_state_dict(checkpoint.part("model."))
        exponent = checkpoint.part("equalizer.").get("exponent")
        vae.equalization = replace(vae.equalization, exponent=exponent)
        yield Snapshot(epoch, vae.eval())
