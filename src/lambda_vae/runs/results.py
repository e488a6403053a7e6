"""Measures a trained model and writes the result of its run."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lambda_vae.data import Dataset, FixedView, Split, sequence_lengths
from lambda_vae.diagnostics import CollapseReport, diagnose
from lambda_vae.files import replacing, write_json
from lambda_vae.model import VAE
from lambda_vae.runs.config import RunConfig
from lambda_vae.runs.folder import RunFolder
from lambda_vae.runs.image_arrays import run_images
from lambda_vae.runs.provenance import command_line, provenance
from lambda_vae.runs.resolve import Run
from lambda_vae.runs.texts import run_texts
from lambda_vae.runs.weights import save_model
from lambda_vae.training import Trainer

__all__ = [
    "bits_per_dimension", "describe_data", "identity", "measure", "per_token", "record_result", "run_name",
    "training_length",
]  # fmt: skip


#: Nats a token that perplexities end at, for JSON has no infinity.
_MOST = 700.0


def run_name(config: RunConfig) -> str:
    """Return the name of a run's folder within a comparison.

    Args:
        config: The run.

    Example:
        >>> run_name(RunConfig(method="lambda-vae:delta=1.19,release_epochs=50").with_seed(2))
        'lambda-vae-delta1.19-release50-seed2'
    """
    return f"{config.method.stem}-seed{config.seed}"


def training_length(epochs: int) -> str:
    """Return how long a run trained, in words.

    Args:
        epochs: Whole ones.

    Example:
        >>> training_length(100), training_length(1)
        ('100 epochs', '1 epoch')
    """
    return f"{epochs} epoch{'' if epochs == 1 else 's'}"


def identity(config: RunConfig, failure: str | None = None) -> dict[str, Any]:
    """Return the first part of metrics.json: which run it is, and whether it came through.

    Args:
        config: The run.
        failure: Why it did not.
    """
    method = config.method
    return {
        "schema": 1,
        "run": run_name(config),
        "method": method.name,
        "label": method.label,
        "delta": method.values.get("delta"),
        "beta": method.values.get("beta", 1.0),
        "release_epochs": method.values.get("release_epochs", 0),
        "settings": method.shown,
        "seed": config.seed,
        "epochs": config.epochs,
        "latent_dim": config.latent_dim,
        "measured_on": "validation" if config.validation else "test",
        "status": "done" if failure is None else "failed",
        "failure": failure,
    }


def describe_data(run: Run) -> dict[str, Any]:
    """Return the data's part of a provenance record.

    Args:
        run: Which.
    """
    dataset = run.dataset
    return {
        "name": dataset.name,
        "sha256": dataset.sha256,
        "source": dataset.source,
        "train": len(dataset.train),
        dataset.measured_on: len(dataset.test),
        "measured_on": dataset.measured_on,
        "binarisation": run.binarisation,
    }


def measure(run: Run, vae: VAE, history: dict[str, Any] | None, **options: Any) -> CollapseReport:  # noqa: ANN401
    """Return every measure of a trained model, on the test set or the run's validation split.

    Args:
        run: Its run.
        vae: The model.
        history: Of its training, which tells causes best.
        options: Of `diagnose`, in place of the run's own.
    """
    dataset = run.dataset
    labelled = dataset.train.y is not None and dataset.test.y is not None
    probe = run.probe() if labelled else None
    return diagnose(
        vae,
        run.measured,
        generator=torch.Generator(next(vae.parameters()).device).manual_seed(run.config.seed),
        history=history,
        test_labels=_labels(dataset.test, run.measured) if probe else None,
        train_x=probe,
        train_labels=_labels(dataset.train, probe) if probe else None,
        **{"iw_samples": run.config.iw_samples, **options},
    )


def _labels(part: Split, view: FixedView) -> torch.Tensor:
    labels = part.labels()
    assert labels is not None, "a probe is made for labelled data only"
    return labels[view.index]


def record_result(run: Run, trainer: Trainer, folder: RunFolder, started: datetime) -> dict[str, Any]:
    """Measure the finished model and write all files of its result; metrics.json comes last and marks it complete.

    Args:
        run: Which.
        trainer: At its end.
        folder: Where to write.
        started: When this process began.

    Returns:
        The content of metrics.json.
    """
    history = trainer.history.to_record()
    write_json(folder.history, history)
    save_model(folder.model, trainer.vae)
    report = measure(run, trainer.vae, history).to_record()
    if run.dataset.kind == "image":
        _save_images(folder.images, trainer.vae, run, report["dimensions"]["kl"])
    if (vocabulary := run.dataset.vocabulary) is not None:
        x = run.measured.head(12).to(trainer.device)
        write_json(folder.texts, run_texts(trainer.vae, x, vocabulary, list(report["dimensions"]["kl"])))
    options, config = _options(trainer), run.config
    write_json(folder.provenance, provenance(command_line(), [config.seed], describe_data(run), options, started))
    seconds = sum(history["seconds"])
    steps = trainer.steps * config.epochs
    times = {"seconds": seconds, "ms_per_step": 1e3 * seconds / steps}
    if "inner_steps" in history:  # of the encoder alone, for each step of the whole model
        times["inner_steps"] = sum(history["inner_steps"]) / steps
    metrics = {**identity(config), **times, **report, **bits_per_dimension(config, run.dataset, report)}
    metrics |= per_token(run, report)
    write_json(folder.metrics, metrics)
    return metrics


def bits_per_dimension(config: RunConfig, dataset: Dataset, report: Mapping[str, Any]) -> dict[str, float]:
    """Return the likelihoods in bits per dimension, where every number of x is one of 256 values; else nothing.

    Args:
        config: The run.
        dataset: Its data.
        report: The likelihoods in nats per example.
    """
    if not (config.likelihood or "").startswith("logistic-mixture"):
        return {}
    bits = {"nll_bound": "nll_bound_bpd", "nll_iw": "nll_iw_bpd", "surrogate_nll": "surrogate_bpd"}
    there = {name: value for name in bits if (value := report.get(name)) is not None}
    return {bits[name]: value / (math.log(2.0) * dataset.features) for name, value in there.items()}


def per_token(run: Run, report: Mapping[str, Any]) -> dict[str, float]:
    """Return the likelihoods of sequences by token: nats of all sequences over all their tokens, ends counted.

    Perplexity is e to that, and bits are that over ln 2.

    Args:
        run: Which; of other data nothing is returned.
        report: The likelihoods in nats per sequence.
    """
    if run.dataset.kind != "sequence":
        return {}
    tokens = sum(int(sequence_lengths(x).sum()) for x in run.measured) / len(run.dataset.test)
    found = {"tokens": tokens}
    for name in ("nll_bound", "nll_iw"):
        if (value := report.get(name)) is not None:
            found[f"{name}_token_bits"] = value / tokens / math.log(2.0)
            found[f"{name}_perplexity"] = math.exp(min(value / tokens, _MOST))
    return found


def _options(trainer: Trainer) -> dict[str, Any]:
    return {
        "precision": trainer.stepper.precision,
        "matmul": trainer.matmul.name,
        "matmul_error": trainer.matmul.error,
        "processes": trainer.accelerator.num_processes,
    }


def _save_images(path: Path, vae: VAE, run: Run, kl: Sequence[float]) -> None:
    device = next(vae.parameters()).device
    arrays = run_images(vae, run.measured.head(24).to(device), run.dataset.shape, list(kl))
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
