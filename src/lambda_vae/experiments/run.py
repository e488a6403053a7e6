"""One run from config to report."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from rich.console import Console
from safetensors.torch import load_file, save_file

from lambda_vae.data import Dataset
from lambda_vae.diagnostics import CollapseReport, diagnose, quick_reading
from lambda_vae.errors import InputError
from lambda_vae.experiments.build import (
    FixedView,
    binarisation_of,
    build_vae,
    likelihood_of,
    load_data,
    measuring_view,
    probing_view,
    training_view,
)
from lambda_vae.experiments.config import RunConfig, read_config
from lambda_vae.experiments.folder import RunFolder
from lambda_vae.experiments.listeners import HistoryFile, ProgressBar, TrackerLog
from lambda_vae.experiments.methods import Method, method_named
from lambda_vae.experiments.pictures import draw_pictures
from lambda_vae.experiments.provenance import command_line, provenance
from lambda_vae.files import read_json, replacing, write_json
from lambda_vae.model import VAE
from lambda_vae.training import Diverged, EpochRow, Trainer, checkpoints
from lambda_vae.training.precision import PRECISION

__all__ = ["LoadedRun", "diagnose_run", "load_run", "run_name", "train"]


def run_name(config: RunConfig) -> str:
    """Return the name of a run's folder within a comparison.

    Args:
        config: The run.

    Example:
        >>> run_name(RunConfig(method="lambda-vae", delta=1.19, release_epochs=50, seed=2))
        'lambda-vae-delta1.19-release50-seed2'
    """
    method = method_named(config.method)
    parts = [config.method]
    if method.uses_delta():
        parts.append(f"delta{config.delta:g}")
    if config.beta != 1.0:
        parts.append(f"beta{config.beta:g}")
    if method.uses_delta() and config.release_epochs:
        parts.append(f"release{config.release_epochs}")
    return "-".join([*parts, f"seed{config.seed}"])


def make_trainer(
    config: RunConfig,
    dataset: Dataset,
    folder: Path | None,
    listeners: list[Callable[[EpochRow, Trainer], None]],
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
    return Trainer(
        build_vae(config, dataset.features, likelihood_of(config, dataset)),
        method.objective(config),
        dataset.train.tensor(),
        training_view(config, dataset),
        config.options(keep_checkpoints),
        schedule=method.schedule(config),
        equalizer=method.equalizer(config),
        folder=folder,
        listeners=listeners,
        accelerator=accelerator,
    )


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
    dataset = load_data(config)
    make_trainer(config, dataset, None, [])  # every refusal comes before the folder is touched
    folder = RunFolder(out)
    with folder.locked() if Accelerator().is_main_process else nullcontext():
        if folder.claim(config, resume=resume) and folder.metrics.exists():
            metrics: dict[str, Any] = read_json(folder.metrics)
            if metrics["status"] == "done":
                return metrics
        return _train(config, dataset, folder, fork, keep_checkpoints, console, started)


def _train(
    config: RunConfig,
    dataset: Dataset,
    folder: RunFolder,
    fork: Path | None,
    keep_checkpoints: tuple[int, ...],
    console: Console | None,
    started: datetime,
) -> dict[str, Any]:
    method = method_named(config.method)
    accelerator = _accelerator(config, folder.path)
    test = measuring_view(config, dataset)
    bar = ProgressBar(method.label(config), config.epochs, config.latent_dim, console) if console else nullcontext()
    listeners: list[Callable[[EpochRow, Trainer], None]] = [_TestReadings(config, test)]
    listeners += [bar] if isinstance(bar, ProgressBar) else []
    listeners += [HistoryFile(folder.path, config.epochs, config.checkpoint_every), TrackerLog(accelerator)]
    trainer = make_trainer(config, dataset, folder.checkpoints, listeners, keep_checkpoints, accelerator)
    _start_from(trainer, folder, fork)
    try:
        with bar:
            trainer.fit()
    except Diverged as failure:
        write_json(folder.metrics, {**_identity(config, method), "status": "failed", "failure": str(failure)})
        raise
    finally:
        accelerator.end_training()
    if accelerator.is_main_process:
        _record(config, dataset, trainer, test, folder, started)
    accelerator.wait_for_everyone()
    metrics: dict[str, Any] = read_json(folder.metrics)
    return metrics


def _accelerator(config: RunConfig, out: Path) -> Accelerator:
    try:
        accelerator = Accelerator(
            mixed_precision=PRECISION[config.precision],
            log_with=list(config.trackers) or None,
            project_dir=str(out / "logs"),
        )
    except ValueError as error:
        raise InputError(f"trackers {list(config.trackers)} cannot be used: {error}") from None
    if config.trackers:
        accelerator.init_trackers("lambda-vae")
    return accelerator


def _start_from(trainer: Trainer, folder: RunFolder, fork: Path | None) -> None:
    newest = checkpoints.latest(folder.checkpoints) or fork
    if newest is not None:
        trainer.restore(checkpoints.load(newest))


class _TestReadings:
    """Reads the test set between epochs, with noise of its own so that training is not disturbed."""

    def __init__(self, config: RunConfig, test: FixedView) -> None:
        self.config, self.test = config, test

    def __call__(self, row: EpochRow, trainer: Trainer) -> None:
        every = self.config.evaluate_every
        if every and (row.epoch % every == 0 or row.epoch == self.config.epochs):
            exponent = trainer.equalizer.exponent if trainer.equalizer is not None else None
            reading = quick_reading(
                trainer.vae, self.test, exponent=exponent, generator=torch.Generator().manual_seed(row.epoch)
            )
            trainer.history.test.append({"epoch": row.epoch, **reading})


def _identity(config: RunConfig, method: Method) -> dict[str, Any]:
    return {
        "schema": 1,
        "run": run_name(config),
        "method": config.method,
        "label": method.label(config),
        "delta": config.delta if method.uses_delta() else None,
        "beta": config.beta,
        "release_epochs": config.release_epochs if method.uses_delta() else 0,
        "seed": config.seed,
        "epochs": config.epochs,
        "latent_dim": config.latent_dim,
        "status": "done",
        "failure": None,
    }


def _record(
    config: RunConfig, dataset: Dataset, trainer: Trainer, test: FixedView, folder: RunFolder, started: datetime
) -> dict[str, Any]:
    """Measure the finished model and write everything down; metrics.json comes last and so means that the run is whole."""
    history = trainer.history.to_record()
    write_json(folder.history, history)
    exponent = trainer.equalizer.exponent if trainer.equalizer is not None else None
    save_model(folder.model, trainer.vae, exponent)
    report = measure(config, dataset, trainer.vae, exponent, test, history)
    if dataset.kind == "image":
        _save_images(folder.images, trainer.vae, test, dataset.shape, report)
    method = method_named(config.method)
    seconds = sum(history["seconds"])
    steps = trainer.steps * config.epochs
    metrics = {
        **_identity(config, method),
        "seconds": seconds,
        "ms_per_step": 1e3 * seconds / steps,
        **report.to_record(),
    }
    write_json(
        folder.provenance,
        provenance(command_line(), [config.seed], describe_data(config, dataset), _options(config, trainer), started),
    )
    write_json(folder.metrics, metrics)
    return metrics


def _options(config: RunConfig, trainer: Trainer) -> dict[str, Any]:
    return {
        "precision": config.precision,
        "matmul": config.matmul,
        "matmul_error": trainer.matmul_error,
        "compile": config.compile,
        "processes": trainer.accelerator.num_processes,
    }


def describe_data(config: RunConfig, dataset: Dataset) -> dict[str, Any]:
    """Return the data's part of a provenance record.

    Args:
        config: The run.
        dataset: Its data.
    """
    return {
        "name": dataset.name,
        "sha256": dataset.sha256,
        "source": dataset.source,
        "train": len(dataset.train),
        "test": len(dataset.test),
        "binarisation": binarisation_of(config, dataset),
    }


def measure(
    config: RunConfig,
    dataset: Dataset,
    vae: VAE,
    exponent: torch.Tensor | None,
    test: FixedView,
    history: dict[str, Any] | None,
) -> CollapseReport:
    """Return every measure of a trained model on the test set.

    Args:
        config: Its run.
        dataset: Its data.
        vae: The model.
        exponent: lambda, or None.
        test: The test set as the model sees it.
        history: Of its training, which tells causes best.
    """
    labelled = dataset.train.y is not None and dataset.test.y is not None
    probe = probing_view(config, dataset) if labelled else None
    return diagnose(
        vae,
        test,
        exponent=exponent,
        delta=config.delta if method_named(config.method).uses_delta() else None,
        iw_samples=config.iw_samples,
        generator=torch.Generator(next(vae.parameters()).device).manual_seed(config.seed),
        history=history,
        test_labels=dataset.test.labels() if probe else None,
        train_x=probe,
        train_labels=dataset.train.labels()[probe.index] if probe else None,  # type: ignore[index]
    )


def _save_images(path: Path, vae: VAE, test: FixedView, shape: tuple[int, ...], report: CollapseReport) -> None:
    device = next(vae.parameters()).device
    arrays = draw_pictures(vae, test.head(24).to(device), shape, report.to_record()["dimensions"]["kl"])
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]


def save_model(path: Path, vae: VAE, exponent: torch.Tensor | None) -> None:
    """Write a model's weights, and its lambda if it has one, as safetensors.

    Args:
        path: The file.
        vae: The model.
        exponent: lambda, [D], or None.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in vae.state_dict().items()}
    if exponent is not None:
        tensors["exponent"] = exponent.detach().cpu()
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"format": "lambda-vae model 1"})


@dataclass(frozen=True)
class LoadedRun:
    """A finished run, ready to be used.

    Args:
        config: As written in its folder.
        vae: The model, in evaluation mode.
        exponent: lambda, or None.
        dataset: The data it was trained on.
        folder: Where it lies.
    """

    config: RunConfig
    vae: VAE
    exponent: torch.Tensor | None
    dataset: Dataset
    folder: RunFolder


def load_run(path: Path, data: str | None = None) -> LoadedRun:
    """Return a finished run.

    Args:
        path: Its folder.
        data: Other data than the run's own.

    Raises:
        InputError: No run there, not finished, damaged weights, or data of another shape.
    """
    folder = RunFolder(path)
    config = read_config(folder.config)
    if not folder.model.exists():
        raise InputError(f"{path} holds a run that is not finished; go on with --resume")
    dataset = load_data(replace(config, data=data) if data else config)
    vae = build_vae(config, dataset.features, likelihood_of(config, dataset))
    try:
        tensors = load_file(folder.model)
        exponent = tensors.pop("exponent", None)
        vae.load_state_dict(tensors)
    except Exception as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise InputError(
            f"{folder.model} does not hold this run's model ({reason}); restore it, or train again"
        ) from None
    return LoadedRun(config, vae.eval(), exponent, dataset, folder)


def diagnose_run(path: Path, *, iw_samples: int | None = None, data: str | None = None) -> CollapseReport:
    """Measure a finished run anew.

    Args:
        path: Its folder.
        iw_samples: Another number of importance samples.
        data: Other data than the run's own.

    Raises:
        InputError: As `load_run`.
    """
    run = load_run(path, data)
    config = replace(run.config, iw_samples=iw_samples or run.config.iw_samples)
    history = read_json(run.folder.history) if run.folder.history.exists() else None
    return measure(config, run.dataset, run.vae, run.exponent, measuring_view(config, run.dataset), history)
