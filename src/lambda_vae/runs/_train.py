"""One run from config to result."""

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from rich.console import Console

from lambda_vae.diagnostics import quick_reading
from lambda_vae.equalization.shared import let_go
from lambda_vae.errors import InputError
from lambda_vae.files import read_json, write_json
from lambda_vae.runs.callbacks import HistoryFile, ProgressBar, TrackerLog
from lambda_vae.runs.config import RunConfig
from lambda_vae.runs.flat import config_data, differences, read_config, write_config
from lambda_vae.runs.folder import RunFolder, locked
from lambda_vae.runs.processes import check_agreement, make_accelerator, on_main
from lambda_vae.runs.resolve import Run
from lambda_vae.runs.results import identity, record_result
from lambda_vae.training import Diverged, EpochRow, Trainer, checkpoints

__all__ = ["last_shared_epoch", "make_trainer", "train"]

Listener = Callable[[EpochRow, Trainer], None]


def make_trainer(
    run: Run,
    folder: Path | None = None,
    listeners: list[Listener] | None = None,
    keep_checkpoints: tuple[int, ...] = (),
    accelerator: Accelerator | None = None,
) -> Trainer:
    """Return the trainer of a run, at its beginning; nothing is written.

    Args:
        run: Which.
        folder: Where checkpoints go.
        listeners: Called with each epoch.
        keep_checkpoints: Epoch ends whose checkpoint stays.
        accelerator: Made anew if absent.

    Raises:
        InputError: A value is out of range.
    """
    options, train = run.options(keep_checkpoints), run.dataset.train
    parts = run.parts()
    return Trainer(
        parts.vae,
        parts.objective,
        train.tensor(),
        run.training_view,
        options,
        rows=None if train.rows is None else train.index(),
        schedule=parts.schedule,
        equalizer=parts.equalizer,
        strategy=parts.strategy,
        folder=folder,
        listeners=listeners or (),
        accelerator=accelerator or make_accelerator(),
    )


def last_shared_epoch(config: RunConfig) -> int:
    """Return the last epoch end at which a released run is still the run without release, bit for bit.

    The exponent of the first released epoch is set at the end of the epoch before, so the two part one epoch earlier.

    Args:
        config: A run with release.
    """
    values = config.method.values
    return int(config.train.epochs - values["settle_epochs"] - values["release_epochs"] - 1)


def train(
    config: RunConfig,
    out: Path,
    *,
    resume: bool = False,
    fork: Path | None = None,
    keep_checkpoints: tuple[int, ...] = (),
    console: Console | None = None,
) -> dict[str, Any]:
    """Train, measure and record one run; a finished run is returned as it is.

    Args:
        config: The run.
        out: Its folder.
        resume: Go on from the newest checkpoint in `out`.
        fork: A checkpoint of a run that is the same up to this point (only its release differs) to start from.
        keep_checkpoints: Epoch ends whose checkpoint stays, for forks.
        console: For the progress bar; None is silent.

    Returns:
        The content of metrics.json.

    Raises:
        InputError: Anything that can be refused before training.
        Interrupted: SIGINT or SIGTERM; the run can be resumed.
        Diverged: A loss was not finite; metrics.json then says "failed" and why.
    """
    started = datetime.now(UTC)
    config_data(config)  # refuses a method that nobody finds again
    folder = RunFolder(out)
    config = folder.same_route(config if fork is None else RunFolder(fork.parent.parent).same_route(config))
    accelerator = make_accelerator(config.trackers, folder.path / "logs")
    run = Run.resolve(config)
    check_agreement(accelerator, config, run.dataset.sha256)
    bar = ProgressBar(run.method.label, config.train.epochs, config.latent_dim, console) if console else None
    history = HistoryFile(folder.path, config.train.epochs, config.train.checkpoint_every)
    listeners: list[Listener] = [_TestReadings(run), *([bar] if bar else []), history, TrackerLog(accelerator)]
    trainer = make_trainer(run, folder.checkpoints, listeners, keep_checkpoints, accelerator)
    with ExitStack() as stack:

        def claim() -> dict[str, Any] | None:
            folder.check(config, resume=resume)
            if fork is not None and checkpoints.latest(folder.checkpoints) is None:
                _check_fork(fork, config)
            stack.enter_context(locked(folder.path))
            folder.check_vocabulary(run.dataset.vocabulary)
            finished = folder.claim(config) and folder.metrics.exists()
            if run.dataset.vocabulary is not None and not folder.vocabulary.exists():
                write_json(folder.vocabulary, run.dataset.vocabulary.to_record())
            there: dict[str, Any] = read_json(folder.metrics) if finished else {}
            return there if there.get("status") == "done" else None

        metrics = on_main(accelerator, claim)
        if metrics is not None:
            return metrics
        if config.trackers:
            accelerator.init_trackers("lambda-vae")
        newest = checkpoints.latest(folder.checkpoints) or fork
        if newest is not None:
            trainer.restore(checkpoints.load(newest))
            if accelerator.is_main_process:
                write_config(folder.config, config)  # its batch size is that of the processes which finish the run
        with bar or nullcontext():
            return _finish(run, trainer, folder, started)


def _check_fork(fork: Path, config: RunConfig) -> None:
    """Refuse a checkpoint that this run would not have reached."""
    position = checkpoints.load(fork).state
    parent = read_config(fork.parent.parent / "config.yaml")
    for name, (old, new) in differences(parent, config).items():
        if name != "release_epochs":
            raise InputError(
                f"{fork} is of another run: its {name} is {old!r}, here it is {new!r}; train without `fork`"
            )
    last = min(
        last_shared_epoch(run) if run.method.values.get("release_epochs") else run.train.epochs
        for run in (parent, config)
    )
    if (position["epoch"], position["step"]) > (last, 0):
        raise InputError(f"{fork} lies after epoch {last}, where the release parts the runs; train without `fork`")


def _finish(run: Run, trainer: Trainer, folder: RunFolder, started: datetime) -> dict[str, Any]:
    """Train from where the trainer stands, measure and write down."""
    accelerator = trainer.accelerator
    try:
        trainer.fit()
        if accelerator.is_main_process:
            with trainer.averaged():
                record_result(run, trainer, folder, started)
        accelerator.wait_for_everyone()
        if accelerator.num_processes > 1:
            let_go()
    except Diverged as failure:
        if accelerator.is_main_process:
            write_json(folder.metrics, identity(run.config, str(failure)))
        raise
    finally:
        accelerator.end_training()
    metrics: dict[str, Any] = read_json(folder.metrics)
    return metrics


class _TestReadings:
    """Measures the test or validation set between epochs, with noise of its own, so that training is not disturbed."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __call__(self, row: EpochRow, trainer: Trainer) -> None:
        every, epochs = self.run.config.evaluate_every, self.run.config.epochs
        if every and (row.epoch % every == 0 or row.epoch == epochs):
            generator = torch.Generator().manual_seed(row.epoch)
            reading = quick_reading(trainer.vae, self.run.measured, generator=generator)
            trainer.history.test.append({"epoch": row.epoch, **reading})
