"""The paper's own figures, to stand next to ours."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from lambda_vae.errors import InputError
from lambda_vae.records.run_row import RunRow

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


def published_figures(row: RunRow, data: str) -> Mapping[str, float | None]:
    """Return the paper's figures for the method of `row`, or nothing where the paper has none.

    Args:
        row: A run; the line named by its `paper`, None for no line; in a record without that name, method, delta, beta,
            latent_dim and release_epochs decide, and runs of fewer than 100 epochs, or measured on a validation split,
            have none.
        data: Name of the data set.

    Returns:
        Of `active_units`, `surrogate_nll`, `surrogate_bpd`, `snr_capacity`, `decoder_capacity` and `mean_exponent`
        those it has; none where it has no such line.

    Source:
        Paper, Tables 1 to 3; shared notes on what its "NLL" is.

    Example:
        >>> row = RunRow(run="a", label="λ-VAE", method="lambda-vae", status="done", delta=1.01, latent_dim=30)
        >>> published_figures(row, "mnist")["active_units"]
        29
        >>> published_figures(row.updated(delta=1.02), "mnist")
        {}
    """
    if row.release_epochs or row.latent_dim != _published()["latent_dim"].get(data):
        return {}
    lines: Sequence[Mapping[str, Any]] = _published()["data"].get(data, ())
    if row.paper is not None or "paper" in row.order:
        named = published_line(row.paper).get(data, {}) if row.paper is not None else {}
        return _figures(named)
    if (row.epochs or _LEAST_EPOCHS) < _LEAST_EPOCHS or row.measured_on == "validation":
        return {}
    same = (line for line in lines if row.method == line.get("method") and row.delta == line.get("delta"))
    return _figures(next((line for line in same if "beta" not in line or row.beta == line["beta"]), {}))


def _figures(line: Mapping[str, Any]) -> Mapping[str, float | None]:
    return {key: line[key] for key in _FIGURES if key in line}
