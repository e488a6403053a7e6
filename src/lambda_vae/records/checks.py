"""Whether a record is whole: a damaged file is named before anything is drawn from it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lambda_vae.errors import InputError

__all__ = ["check_dimensions", "check_history", "check_row", "damaged"]

_WORDS = ("run", "method", "label", "status")
_NUMBERS = (
    "delta", "beta", "seed", "epochs", "latent_dim", "seconds", "nll_bound", "nll_bound_stderr", "surrogate_nll",
    "excess_kl", "nll_iw", "nll_iw_stderr", "nll_iw_samples", "nll_iw_ess", "reconstruction", "rate", "rate_q",
    "active_units", "near_prior", "active_directions", "snr_capacity", "snr_capacity_joint", "snr_capacity_predicted",
    "decoder_capacity", "mean_std", "mean_exponent", "linear_probe_accuracy", "knn_accuracy", "release_epochs",
    "ms_per_step", "step_cost", "inner_steps", "nll_bound_bpd", "nll_iw_bpd", "surrogate_bpd",
)  # fmt: skip


def damaged(source: Path, what: str) -> InputError:
    """Return the error for a damaged record.

    Args:
        source: The file.
        what: What is wrong with it.
    """
    return InputError(f"{source} is damaged: {what}; measure the run again or remove the file")


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def check_row(row: object, source: Path) -> None:
    """Raise unless `row` holds a run's scalars.

    Args:
        row: From metrics.json or a line of table.json.
        source: The file, for the message.

    Raises:
        InputError: A name is missing, or a number is none.
    """
    if not isinstance(row, dict):
        raise damaged(source, "a run must be an object with named values")
    for key in _WORDS:
        if not isinstance(row.get(key), str):
            raise damaged(source, f"{key!r} must be text, not {row.get(key)!r}")
    for key in _NUMBERS:
        if not _is_number(row.get(key)):
            raise damaged(source, f"{key!r} must be a number or null, not {row[key]!r}")


def check_dimensions(dimensions: object, latent_dim: object, source: Path) -> None:
    """Raise unless every column has one value a dimension.

    Args:
        dimensions: From metrics.json.
        latent_dim: How many values a column must have.
        source: The file, for the message.

    Raises:
        InputError: A column has another length or holds no numbers.
    """
    if not isinstance(dimensions, dict):
        raise damaged(source, "'dimensions' must be an object")
    for key, values in dimensions.items():
        if values is None:
            continue
        if not isinstance(values, list) or len(values) != latent_dim:
            raise damaged(source, f"dimension column {key!r} must have {latent_dim} entries")
        if key not in ("verdict", "cause") and not all(isinstance(v, bool) or _is_number(v) for v in values):
            raise damaged(source, f"dimension column {key!r} must hold numbers")


def check_history(history: Mapping[str, Any], source: Path) -> None:
    """Raise unless every series has one value an epoch.

    Args:
        history: From history.json; may be empty.
        source: The file, for the message.

    Raises:
        InputError: A series has another length or holds no numbers.
    """
    if not history:
        return
    epochs = history.get("epochs")
    if not isinstance(epochs, list) or not all(_is_number(e) and e is not None for e in epochs):
        raise damaged(source, "'epochs' must be a list of numbers")
    series = {key: values for key, values in history.items() if key not in ("epochs", "test", "dimensions")}
    for key, values in series.items():
        if not isinstance(values, list) or len(values) != len(epochs) or not all(map(_is_number, values)):
            raise damaged(source, f"series {key!r} must have one number for each of the {len(epochs)} epochs")
    for key, grid in (history.get("dimensions") or {}).items():
        try:
            shape = np.array(grid, dtype=np.float64).shape
        except (TypeError, ValueError):
            shape = ()
        if epochs and (len(shape) != 2 or shape[0] != len(epochs)):
            raise damaged(source, f"series {key!r} must have one list of equal length for each epoch")
