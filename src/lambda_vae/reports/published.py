"""The paper's own figures, to stand beside ours."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from lambda_vae.errors import InputError
from lambda_vae.records.read import Row

__all__ = ["published_figures", "published_line", "published_source"]

_LEAST_EPOCHS = 100  # half of what the paper's binary runs have
_FIGURES = ("active_units", "surrogate_nll", "surrogate_bpd", "snr_capacity", "decoder_capacity", "mean_exponent")


@cache
def _published() -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads((files("lambda_vae.reports") / "published.json").read_text("utf-8"))
    return content


def published_source() -> str:
    """Return where the figures come from, and what they are."""
    return str(_published()["source"])


def published_line(name: str) -> Mapping[str, Mapping[str, Any]]:
    """Return one line of the paper's tables, by data set.

    Args:
        name: Its name in published.json.

    Raises:
        InputError: There is no such line.

    Example:
        >>> published_line("δ=1.01")["omniglot"]["active_units"]
        30
    """
    found = {data: line for data, lines in _published()["data"].items() for line in lines if line["name"] == name}
    if not found:
        names = dict.fromkeys(line["name"] for lines in _published()["data"].values() for line in lines)
        raise InputError(f"the paper's tables have no line {name!r}; their lines are {', '.join(names)}")
    return found


def published_figures(row: Row, data: str) -> Mapping[str, float | None]:
    """Return the paper's figures for the method of `row`, or nothing where the paper has none.

    Args:
        row: A run's scalars; the line named by its `paper`, None for no line; without such a key, method, delta, beta,
            latent_dim and release_epochs decide, and runs of fewer than 100 epochs, or measured on a validation split,
            have none.
        data: Name of the data set.

    Returns:
        Of `active_units`, `surrogate_nll`, `surrogate_bpd`, `snr_capacity`, `decoder_capacity` and `mean_exponent`
        those it has; none where it has no such line.

    Source:
        Paper, Tables 1 to 3; shared notes on what its "NLL" is.

    Example:
        >>> published_figures({"method": "lambda-vae", "delta": 1.01, "latent_dim": 30}, "mnist")["active_units"]
        29
        >>> published_figures({"method": "lambda-vae", "delta": 1.02, "latent_dim": 30}, "mnist")
        {}
    """
    if row.get("release_epochs") or row.get("latent_dim") != _published()["latent_dim"].get(data):
        return {}
    if "paper" in row:
        named = published_line(row["paper"]).get(data) if row["paper"] is not None else None
        return {key: named[key] for key in _FIGURES if key in named} if named else {}
    if row.get("epochs", _LEAST_EPOCHS) < _LEAST_EPOCHS or row.get("measured_on") == "validation":
        return {}
    for line in _published()["data"].get(data, ()):
        same_delta = row.get("delta") == line.get("delta")
        same_beta = "beta" not in line or row.get("beta") == line["beta"]
        if row["method"] == line.get("method") and same_delta and same_beta:
            return {key: line[key] for key in _FIGURES if key in line}
    return {}
