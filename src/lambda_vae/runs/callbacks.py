"""Listeners of a training run: the progress bar, the files, the trackers."""

import math
import time
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from accelerate import Accelerator
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from lambda_vae.files import write_json
from lambda_vae.training import EpochRow, Trainer

__all__ = ["HistoryFile", "ProgressBar", "TrackerLog"]


class ProgressBar:
    """A bar with loss, active units and the time left; one line an epoch where there is no terminal.

    Args:
        label: The run's name.
        epochs: In all.
        latent_dim: D, shown next to the active units.
        console: Where to draw.
    """

    def __init__(self, label: str, epochs: int, latent_dim: int, console: Console) -> None:
        self.console, self.latent_dim, self.epochs = console, latent_dim, epochs
        columns = ("[bold]{task.description}", BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[status]}"))
        shown = [TextColumn(column) if isinstance(column, str) else column for column in columns]
        self.progress = Progress(*shown, console=console, disable=not console.is_terminal, transient=True)
        self.task = self.progress.add_task(escape(label), total=epochs, status="starting")
        self.label = label

    def __enter__(self) -> "ProgressBar":
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def __call__(self, row: EpochRow, _trainer: Trainer) -> None:
        """Show one finished epoch.

        Args:
            row: Its numbers.
        """
        left = timedelta(seconds=round(row.scalars["seconds"] * (self.epochs - row.epoch)))
        active = row.scalars.get("active_units", math.nan)
        status = f"loss {row.scalars['loss']:8.2f}  AU {active:.0f}/{self.latent_dim}  {left} left"
        self.progress.update(self.task, completed=row.epoch, status=status)
        if not self.console.is_terminal and (row.epoch % 10 == 0 or row.epoch == self.epochs):
            self.console.print(
                f"{self.label}: epoch {row.epoch}/{self.epochs}  {status}", markup=False, highlight=False
            )


class HistoryFile:
    """Keeps `history.json` and `progress.json` up to date.

    Args:
        folder: The run's folder.
        epochs: In all.
        history_every: Epochs between two writings of the history.
    """

    def __init__(self, folder: Path, epochs: int, history_every: int) -> None:
        self.folder, self.epochs, self.history_every = folder, epochs, history_every

    def __call__(self, row: EpochRow, trainer: Trainer) -> None:
        """Write the files.

        Args:
            row: The finished epoch.
            trainer: For its history.
        """
        progress = {"epoch": row.epoch, "epochs": self.epochs, "updated": time.time(), **row.scalars}
        write_json(self.folder / "progress.json", progress)
        if row.epoch % self.history_every == 0 or row.epoch == self.epochs:
            write_json(self.folder / "history.json", trainer.history.to_record())


class TrackerLog:
    """Hands every epoch to accelerate's trackers.

    Args:
        accelerator: With its trackers started.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator

    def __call__(self, row: EpochRow, trainer: Trainer) -> None:
        """Log one finished epoch.

        Args:
            row: Its numbers.
            trainer: For the readings on the test set.
        """
        values: dict[str, Any] = {f"train/{name}": value for name, value in row.scalars.items()}
        for name, numbers in row.dimensions.items():
            values[f"mean_over_dimensions/{name}"] = sum(numbers) / len(numbers)
        if trainer.history.test and trainer.history.test[-1]["epoch"] == row.epoch:
            values |= {f"test/{name}": value for name, value in trainer.history.test[-1].items() if name != "epoch"}
        self.accelerator.log(values, step=row.epoch)
