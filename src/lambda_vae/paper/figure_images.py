"""The numbers of Figures 6 and 7, read from finished runs on natural images as plain data."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lambda_vae.paper.figure_runs import identity_of, numbers, usable
from lambda_vae.records.read import ComparisonRecord, RunRecord
from lambda_vae.runs.config import read_config
from lambda_vae.runs.folder import RunFolder
from lambda_vae.training import checkpoints

__all__ = ["alignments_record", "capacities_record", "panels_of"]

_MEASURED = (
    "latent_dim", "active_units", "snr_capacity", "snr_capacity_joint", "snr_capacity_predicted", "decoder_capacity",
)  # fmt: skip


def panels_of(
    comparisons: Mapping[str, ComparisonRecord], read: Callable[[RunRecord], Mapping[str, Any]]
) -> dict[str, Any]:
    """Return a panel for each data set, with what a figure needs of each of its runs.

    Args:
        comparisons: Finished runs, by data.
        read: From a run to its numbers.
    """
    return {
        "panels": [
            {"data": Path(name).stem, "runs": [{**identity_of(run), **read(run)} for run in usable(record.runs)]}
            for name, record in comparisons.items()
        ]
    }


def capacities_record(comparisons: Mapping[str, ComparisonRecord]) -> dict[str, Any]:
    """Return the numbers of Figure 6: both capacities, summed over dimensions, at each epoch and on the test set.

    Args:
        comparisons: Finished runs, by data.
    """
    return panels_of(comparisons, _capacities)


def _capacities(run: RunRecord) -> dict[str, Any]:
    return {
        "epoch": run.history["epochs"],
        "snr_capacity_by_epoch": numbers(_capacity(run.track("signal_power"), run.track("sampling_std"))),
        "decoder_capacity_by_epoch": numbers(run.track("decoder_capacity").sum(1)),
        "ramp_epochs": read_config(run.path / "config.yaml").ramp_epochs if run.row.delta is not None else 0,
        **{name: getattr(run.row, name) for name in _MEASURED},
    }


def _capacity(signal: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eq. 7 at the noise that the decoder gets, [E]; of training examples, where the table's is of test examples."""
    total: NDArray[np.float64] = 0.5 * np.log1p(signal / noise**2).sum(1)
    return total


def alignments_record(comparisons: Mapping[str, ComparisonRecord]) -> dict[str, Any]:
    """Return the numbers of Figure 7: sigma, running and on the test set, and lambda of each dimension at the end.

    Args:
        comparisons: Finished runs, by data.
    """
    return panels_of(comparisons, _alignment)


def _alignment(run: RunRecord) -> dict[str, Any]:
    config = read_config(run.path / "config.yaml")
    running = _running_std(run) if run.row.delta is not None else None
    return {
        "std": numbers(run.column("std_mean"), 8),
        "exponent": numbers(run.column("exponent"), 8),
        "running_std": None if running is None else numbers(running, 8),
        "max_exponent": config.max_exponent,
        "refresh_every": config.refresh_every,
        "decay": config.decay,
        "ramp": min(1.0, config.epochs / config.ramp_epochs) if config.ramp_epochs else 1.0,
    }


def _running_std(run: RunRecord) -> Tensor | None:
    """What the equalizer held after the last epoch; None where that checkpoint is gone."""
    last = checkpoints.path_of(RunFolder(run.path).checkpoints, run.row.epochs or 0, 0)
    return checkpoints.load(last).part("equalizer.").get("running_std") if last.is_file() else None
