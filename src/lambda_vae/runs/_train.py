"""One run from config to result."""

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from rich.console import Console

from lambda_vae.data import Dataset
from lambda_vae.diagnostics import quick_reading
from lambda_vae.equalization.shared import let_go
from lambda_vae.errors import InputError
from lambda_vae.files import read_json, write_json
from lambda_vae.objectives import ELBO
from lambda_vae.runs.build import (
    FixedView,
    build_vae,
    likelihood_of,
    load_data,
    measuring_view,
    probing_view,
    training_view,
)
from lambda_vae.runs.callbacks import HistoryFile, ProgressBar, TrackerLog
from lambda_vae.runs.compose import method_named
from lambda_vae.runs.config import RunConfig, read_config, write_config
from lambda_vae.runs.folder import RunFolder, locked
from lambda_vae.runs.processes import check_agreement, check_trackers, make_accelerator, on_main
from lambda_vae.runs.results import identity, record_result
from lambda_vae.training import Diverged, EpochRow, Trainer, checkpoints

__all__ = ["last_shared_epoch", "make_trainer", "train"]

Listener = Callable[[EpochRow, Trainer], None]


def make_trainer(
    config: RunConfig,
    dataset: Dataset,
    folder: Path | None,
    listeners: list[Listener],
    keep_checkpoints: tuple[int, ...] = (),
    accelerator: Accelerator | None = None,
) -> Trainer:
    """Return the trainer of a run, at its beginning.

    Args:
        config: The run.
        dataset: Its data.
        folder: Where checkpoints go.
        listeners: Called with each epoch.
        keep_checkpoints: Epoch ends whose checkpoint stays.
        accelerator: Made from the config if absent.

    Raises:
        InputError: A value is out of range.
    """
    method = method_named(config.method)
    vae = build_vae(config, dataset.shape, likelihood_of(config, dataset))
    vae.prior.init_from_data(probing_view(config, dataset).head(1000))
    return Trainer(
        vae,
        method.objective(config) if method.objective else ELBO(),
        dataset.train.tensor(),
        training_view(config, dataset),
        config.options(keep_checkpoints, method.samples),
        rows=None if dataset.train.rows is None else dataset.train.index(),
        schedule=method.schedule(config) if method.schedule else None,
        equalizer=method.equalizer(config) if method.equalizer else None,
        strategy=method.strategy(config) if method.strategy else None,
        folder=folder,
        listeners=listeners,
        accelerator=accelerator or make_accelerator(config),
    )


def last_shared_epoch(config: RunConfig) -> int:
    """Return the last epoch end at which a released run is still the run without release, bit for bit.

    The exponent of the first released epoch is set at the end of the epoch before, so the two part one epoch earlier.

    Args:
        config: A run with release.
    """
    return config.epochs - config.settle_epochs - config.release_epochs - 1


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
    check_trackers(config.trackers)
    accelerator = make_accelerator(config)
    dataset = load_data(config)
    check_agreement(accelerator, config, dataset.sha256)
    make_trainer(config, dataset, None, [], keep_checkpoints, accelerator)  # refuses before the folder is touched
    folder = RunFolder(out)
    with ExitStack() as stack:

        def claim() -> dict[str, Any] | None:
            folder.check(config, resume=resume)
            if fork is not None and checkpoints.latest(folder.checkpoints) is None:
                _check_fork(fork, config)
            stack.enter_context(locked(folder.path))
            finished = folder.claim(config) and folder.metrics.exists()
            there: dict[str, Any] = read_json(folder.metrics) if finished else {}
            return there if there.get("status") == "done" else None

        metrics = on_main(accelerator, claim)
        if metrics is not None:
            return metrics
        return _train(config, dataset, folder, fork, keep_checkpoints, console, started)


def _check_fork(fork: Path, config: RunConfig) -> None:
    """Refuse a checkpoint through which this run would not have come."""
    position = checkpoints.load(fork).state
    parent = read_config(fork.parent.parent / "config.yaml")
    for name in RunConfig.__dataclass_fields__.keys() - {"release_epochs"}:
        old, new = getattr(parent, name), getattr(config, name)
        if old != new:
            raise InputError(
                f"{fork} is of another run: its {name} is {old!r}, here it is {new!r}; train without `fork`"
            )
    last = min(last_shared_epoch(run) if run.release_epochs else run.epochs for run in (parent, config))
    if (position["epoch"], position["step"]) > (last, 0):
        raise InputError(f"{fork} lies after epoch {last}, where the release parts the runs; train without `fork`")


def _train(
    config: RunConfig,
    dataset: Dataset,
    folder: RunFolder,
    fork: Path | None,
    keep_checkpoints: tuple[int, ...],
    console: Console | None,
    started: datetime,
) -> dict[str, Any]:
    accelerator = make_accelerator(config, folder.path / "logs")
    label = method_named(config.method).label(config)
    bar = ProgressBar(label, config.epochs, config.latent_dim, console) if console else None
    listeners: list[Listener] = [_TestReadings(config, measuring_view(config, dataset))]
    listeners += [bar] if bar else []
    listeners += [HistoryFile(folder.path, config.epochs, config.checkpoint_every), TrackerLog(accelerator)]
    trainer = make_trainer(config, dataset, folder.checkpoints, listeners, keep_checkpoints, accelerator)
    newest = checkpoints.latest(folder.checkpoints) or fork
    if newest is not None:
        trainer.restore(checkpoints.load(newest))
        if accelerator.is_main_process:
            write_config(folder.config, config)  # its batch size is that of the processes which finish the run
    try:
        with bar or nullcontext():
            trainer.fit()
        if accelerator.is_main_process:
            with trainer.averaged():
                record_result(config, dataset, trainer, folder, started)
        accelerator.wait_for_everyone()
        if accelerator.num_processes > 1:
            let_go()
    except Diverged as failure:
        if accelerator.is_main_process:
            write_json(folder.metrics, identity(config, str(failure)))
        raise
    finally:
        accelerator.end_training()
    metrics: dict[str, Any] = read_json(folder.metrics)
    return metrics


class _TestReadings:
    """Reads what the run is measured on between epochs, with noise of its own so that training is not disturbed."""

    def __init__(self, config: RunConfig, test: FixedView) -> None:
        self.config, self.test = config, test

    def __call__(self, row: EpochRow, trainer: Trainer) -> None:
        every = self.config.evaluate_every
        if every and (row.epoch % every == 0 or row.epoch == self.config.epochs):
            reading = quick_reading(trainer.vae, self.test, generator=torch.Generator().manual_seed(row.epoch))
            trainer.history.test.append({"epoch": row.epoch, **reading})
