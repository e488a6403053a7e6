"""The numbers of Figures 3 to 5, read from finished runs as plain data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lambda_vae.data import Dataset
from lambda_vae.distributions import DiagGaussian
from lambda_vae.errors import InputError
from lambda_vae.estimation._kl_split import mismatch_identity
from lambda_vae.estimation._mutual_information import mutual_information
from lambda_vae.files import read_json, write_json
from lambda_vae.measures.generation import prior_elbos
from lambda_vae.records.read import ComparisonRecord, RunRecord
from lambda_vae.runs.build import FixedView, load_data, measuring_view
from lambda_vae.runs.config import RunConfig, read_config
from lambda_vae.runs.folder import RunFolder
from lambda_vae.runs.image_arrays import shown
from lambda_vae.runs.results import training_length
from lambda_vae.runs.snapshots import Snapshot, snapshots
from lambda_vae.training import checkpoints

__all__ = [
    "histograms_record",
    "identity_of",
    "measure_snapshots",
    "mixtures_record",
    "numbers",
    "pictures_record",
    "pixel_lists",
    "usable",
]

#: Points of a scatter: as many as can be told apart in print.
_SHOWN = 400

#: Draws of an example for what is measured of the law of its z.
_DRAWS = 4

#: Draws from the prior that the judge of Figure 5 scores, as many as the paper's.
_JUDGED = 256
_TRACKS = ("gradient_ratio", "reconstruction_gradient", "std_mean", "signal_power", "exponent")


def measure_snapshots(path: Path, count: int) -> dict[str, Any]:
    """Return what Figure 3 needs of a finished run over its snapshots; measured once, and kept beside the run.

    The checkpoints that only the snapshots needed are removed afterwards.

    Args:
        path: Folder of the run.
        count: At how many epoch ends it was told to keep its model.

    Raises:
        InputError: A checkpoint is gone.
    """
    place = path / "snapshots.json"
    if place.exists():
        known: dict[str, Any] = read_json(place)
        return known
    config = read_config(path / "config.yaml")
    dataset = load_data(config, training=False)
    view, readings, last, codes = measuring_view(config, dataset), [], None, None
    for last in snapshots(path, config, dataset, count):
        codes = _codes(last, view)
        readings.append({"epoch": last.epoch, **_information(codes)})
    if last is None or codes is None:
        raise InputError(f"{path} was trained without snapshots; remove the folder and train the run again")
    record = {"readings": readings, **_scene(last, codes, config, dataset, view)}
    write_json(place, record)
    checkpoints.prune(RunFolder(path).checkpoints)
    return record


@torch.no_grad()
def _codes(snapshot: Snapshot, view: FixedView) -> DiagGaussian:
    """The law that z is really drawn from, of all test examples."""
    laws = [snapshot.vae.sampled(snapshot.vae.encode(x)).marginals() for x in view]
    return DiagGaussian(torch.cat([law.mu for law in laws]), torch.cat([law.logvar for law in laws]))


def _information(codes: DiagGaussian) -> dict[str, Any]:
    """I(X;Z), and both sides of Eq. 8; the same noise at every snapshot and for every method."""
    found = mutual_information(codes.mu, codes.logvar, torch.Generator().manual_seed(0), draws=_DRAWS)
    identity = mismatch_identity(codes.mu, codes.logvar, torch.Generator().manual_seed(1), draws=_DRAWS)
    return {
        "information": found.value,
        "stderr": found.stderr,
        "cap": found.cap,
        "saturated": found.saturated,
        "reason": found.reason,
        "identity": asdict(identity),
    }


@torch.no_grad()
def _scene(
    snapshot: Snapshot, codes: DiagGaussian, config: RunConfig, dataset: Dataset, view: FixedView
) -> dict[str, Any]:
    """The latent space and the reconstructions of the test examples, with how well the components are kept apart."""
    decoded = torch.cat([shown(snapshot.vae.decode(part)) for part in torch.split(codes.mu, view.batch_size)])
    z = codes.rsample(torch.randn(codes.mu.shape, generator=torch.Generator().manual_seed(1)))
    x = view.head(len(view.index))
    labels = dataset.test.labels()
    assert labels is not None, "mixtures are labelled"
    component = labels[view.index].numpy()
    return {
        "epochs": config.epochs,
        "noise": numbers(codes.std.mean(0)),
        "exponent": None if snapshot.exponent is None else numbers(snapshot.exponent),
        "rmse": numbers((decoded - x).square().mean(0).sqrt()),
        "data_std": numbers(x.std(0)),
        "agreement": {
            "latent": _agreement(z.numpy(), component),
            "reconstruction": _agreement(decoded.numpy(), component),
        },
        "component": component[:_SHOWN].tolist(),
        "x": [numbers(row) for row in x[:_SHOWN]],
        "z": [numbers(row) for row in z[:_SHOWN]],
        "decoded": [numbers(row) for row in decoded[:_SHOWN]],
    }


def _agreement(points: NDArray[np.floating], component: NDArray[np.int64]) -> float:
    """Adjusted Rand index of a k-means clustering with the components: 1 is the same, 0 is chance."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score

    found = KMeans(len(np.unique(component)), n_init=10, random_state=0).fit_predict(points)
    return float(adjusted_rand_score(component, found))


def mixtures_record(comparisons: Mapping[str, ComparisonRecord], count: int) -> dict[str, Any]:
    """Return the numbers of Figure 3.

    Args:
        comparisons: Finished runs, by data.
        count: Snapshots of each.
    """
    return {
        "panels": [
            {"data": name, "runs": [_mixture_run(run, count) for run in usable(record.runs)]}
            for name, record in comparisons.items()
        ]
    }


def _mixture_run(run: RunRecord, count: int) -> dict[str, Any]:
    tracks = {name: [numbers(row) for row in run.track(name)] for name in _TRACKS}
    return {**identity_of(run), "epoch": run.history["epochs"], **tracks, **measure_snapshots(run.path, count)}


def histograms_record(runs: Iterable[RunRecord]) -> dict[str, Any]:
    """Return the numbers of Figure 4: mean sigma and lambda of each dimension at each epoch.

    Args:
        runs: Finished runs with a history of their dimensions, one a method.
    """
    return {
        "runs": [
            {
                **identity_of(run),
                "epoch": run.history["epochs"],
                "std": [numbers(row) for row in run.track("std_mean")],
                "exponent": [numbers(row) for row in run.track("exponent")],
            }
            for run in usable(runs)
        ]
    }


def pictures_record(runs: Iterable[RunRecord], count: int = 10) -> dict[str, Any]:
    """Return the numbers of Figure 5: originals, reconstructions at mu, and decoded draws from the prior.

    Args:
        runs: Finished runs on images, one a method; all decode the same draws.
        count: Pictures of each kind.

    Raises:
        InputError: A run has no pictures, or other originals than the first one.
    """
    chosen = usable(runs)
    for run in chosen:
        if not run.images:
            raise InputError(f"{run.path} has no images.npz; this figure needs runs on images")
        if not np.array_equal(run.images["originals"], chosen[0].images["originals"]):
            raise InputError(f"{run.path} shows other originals than {chosen[0].path}; give runs on the same data")
    scores = _prior_scores(chosen)
    return {
        "originals": pixel_lists(chosen[0].images["originals"][:count]),
        "runs": [
            {
                **identity_of(run),
                "reconstructions": pixel_lists(run.images["reconstructions"][:count]),
                "samples": pixel_lists(run.images["prior_samples"][:count]),
                "reconstruction": run.row.reconstruction,
                "nll_bound": run.row.nll_bound,
                "surrogate_nll": run.row.surrogate_nll,
                **score,
            }
            for run, score in zip(chosen, scores, strict=True)
        ],
    }


def _prior_scores(runs: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """What the figure's plain VAE, and each model itself, says of the model's draws; nothing where weights are gone."""
    here = [RunFolder(run.path).model.exists() for run in runs]
    judge = next((run for run, is_here in zip(runs, here, strict=True) if is_here and run.row.method == "vae"), None)
    if judge is None or not all(here):
        return [{"prior_elbo": None} for _ in runs]
    who = f"{identity_of(judge)['label']} of this figure, {_JUDGED} draws of each model"
    return [
        {
            "prior_elbo": float(under.value),
            "prior_elbo_stderr": float(under.stderr),
            "prior_elbo_own": float(itself.value),
            "prior_elbo_judge": who,
        }
        for under, itself in prior_elbos([run.path for run in runs], judge.path, _JUDGED)
    ]


def usable(runs: Iterable[RunRecord]) -> list[RunRecord]:
    """Return the runs that came through and have a history of their dimensions.

    Args:
        runs: Finished runs.
    """
    return [run for run in runs if not run.failed and run.track("std_mean").size]


def identity_of(run: RunRecord) -> dict[str, Any]:
    """Return what a figure names a run by.

    Args:
        run: The run.
    """
    appended = f", {training_length(run.row.epochs or 0)}"  # by a table of several lengths
    label = run.label.removesuffix(appended)
    keys = ("run", "method", "delta", "beta", "seed", "epochs")
    return {"label": label, **{key: getattr(run.row, key) for key in keys}}


def pixel_lists(images: NDArray[np.uint8]) -> list[Any]:
    """Return pictures as a record holds them.

    Args:
        images: [n, H, W] or [n, H, W, 3].
    """
    pixels: list[Any] = images.tolist()
    return pixels


def numbers(values: Tensor | NDArray[np.floating] | Sequence[float], digits: int = 5) -> list[float]:
    """Return numbers as a record holds them.

    Args:
        values: Of one axis.
        digits: So many of each are kept.
    """
    return [float(f"{float(value):.{digits}g}") for value in values]
