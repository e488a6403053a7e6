"""What `likelihood` found as plain data, and as a table for the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from lambda_vae.estimation.annealed import Annealing
from lambda_vae.estimation.annealed_reading import read_annealed, read_gap
from lambda_vae.estimation.importance import read_weighed
from lambda_vae.estimation.moments import Reading, reading_of

__all__ = ["Columns", "likelihood_record", "likelihood_table"]

#: Numbers by name, one an example; null in the file is NaN.
Columns = dict[str, list[float]]

_NATS = "nats per example"


def likelihood_record(settings: Mapping[str, Any], columns: Mapping[str, Columns]) -> dict[str, Any]:
    """Return settings, readings and the numbers of every example, ready to be written.

    Args:
        settings: Of the call.
        columns: Of the parts "test" and "simulated", as far as they have come.
    """
    test, simulated = ({name: _tensor(values) for name, values in columns[part].items()} for part in columns)
    annealing = Annealing(settings["temperatures"] or 1, settings["chains"], settings["leapfrog"])
    readings: dict[str, Any] = {
        "surrogate_nll": _plain(reading_of(test["reconstruction"] + test["rate_q"], _NATS)),
        "nll_bound": _plain(reading_of(test["reconstruction"] + test["rate"], _NATS)),
        "nll_iw": {name: _weighed(name, settings["iw_samples"], test) for name in _proposals(test)},
    }
    if "up.nll" in test:
        found = read_annealed(annealing, _of("up", test))
        numbers = {name: float(getattr(found, name).value) for name in ("acceptance", "ess", "spread")}
        readings["nll_ais"] = {**_plain(found.nll), **numbers, "reasons": list(found.reasons)}
    if simulated:
        gap = read_gap(annealing, _of("up", simulated), _of("down", simulated))
        readings["simulated"] = {
            "nll_ais": _plain(gap.nll_up),
            "nll_ais_reverse": _plain(gap.nll_down),
            "gap": {**_plain(gap.gap), "reasons": list(gap.reasons)},
            "acceptance": float(gap.acceptance.value),
        }
    return {"schema": 1, "settings": dict(settings), "readings": readings, "columns": dict(columns)}


def likelihood_table(record: Mapping[str, Any]) -> Table:
    """Return the estimates from the loosest to the tightest, with what is to be said of each.

    Args:
        record: Of `likelihood_record`.
    """
    settings = record["settings"]
    table = Table(
        title=f"-ln p(x) in nats per example, {settings['examples']} examples of {settings['data']}",
        caption=(
            f"{settings['iw_samples']} importance samples; annealing: {settings['temperatures']} temperatures, "
            f"{settings['chains']} chains, {settings['leapfrog']} leapfrog steps. ± one standard error over examples."
        ),
    )
    for heading in ("estimate", "value", "±", "ESS", "k̂", "to be noted"):
        table.add_column(heading, justify="left" if heading in ("estimate", "to be noted") else "right")
    for row in _rows(record["readings"]):
        table.add_row(*(escape(cell) for cell in row))
    return table


def _rows(readings: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, str, str]]:
    yield _row("surrogate_nll", readings["surrogate_nll"], note="the paper's figure, no bound")
    yield _row("nll_bound", readings["nll_bound"], note="upper bound")
    for name, found in readings["nll_iw"].items():
        yield _row(f"nll_iw, {name}", found, khat=f"{found['khat']:.2f}")
    if "nll_ais" in readings:
        found = readings["nll_ais"]
        note = f"acceptance {found['acceptance']:.2f}, ln w varies by {found['spread']:.2f} nats^2"
        yield _row("nll_ais", found, note=note)
    if "simulated" in readings:
        found = readings["simulated"]
        yield _row("nll_ais, simulated x", found["nll_ais"], note="from the prior: above -ln p(x)")
        yield _row("nll_ais_reverse, simulated x", found["nll_ais_reverse"], note="from exact samples: below it")
        yield _row("gap of the two", found["gap"])


def _row(name: str, found: Mapping[str, Any], khat: str = "", note: str = "") -> tuple[str, str, str, str, str, str]:
    ess = f"{found['ess']:.1f}" if "ess" in found else ""
    notes = "; ".join(filter(None, (note, *(f"NOT SETTLED: {reason}" for reason in found.get("reasons", ())))))
    return name, f"{found['value']:.2f}", f"{found['stderr']:.2f}", ess, khat, notes


def _weighed(name: str, samples: int, test: Mapping[str, Tensor]) -> dict[str, Any]:
    found = read_weighed(name, samples, *(test[f"{what}.{name}"] for what in ("nll_iw", "ess", "khat")))
    numbers = {"ess": float(found.ess.value), "khat": found.khat, "heavy": found.heavy}
    return {**_plain(found.nll), **numbers, "reasons": list(found.reasons)}


def _proposals(test: Mapping[str, Tensor]) -> list[str]:
    return [name.removeprefix("nll_iw.") for name in test if name.startswith("nll_iw.")]


def _of(prefix: str, columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{prefix}."): column for name, column in columns.items() if name.startswith(f"{prefix}.")
    }


def _plain(reading: Reading) -> dict[str, Any]:
    return {"value": float(reading.value), "stderr": float(reading.stderr), "unit": reading.unit}


def _tensor(values: list[float | None] | list[float]) -> Tensor:
    return torch.tensor([float("nan") if value is None else value for value in values], dtype=torch.float64)
