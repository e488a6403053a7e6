"""The record of training, epoch by epoch, as plain numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

__all__ = ["SCALARS", "VECTORS", "EpochRow", "History"]

#: One number an epoch.
SCALARS = ("loss", "reconstruction", "rate_q", "kl_weight", "active_units", "seconds")

#: One number a dimension and epoch.
VECTORS = (
    "std_mean", "sampling_std", "std_spread", "exponent", "signal_power", "kl", "reconstruction_gradient",
    "gradient_ratio", "decoder_capacity",
)  # fmt: skip


@dataclass(frozen=True)
class EpochRow:
    """One epoch of training.

    Args:
        epoch: Counted from 1.
        scalars: By the names in `SCALARS`; likelihood terms in nats per example.
        dimensions: By the names in `VECTORS`, each [D].
    """

    epoch: int
    scalars: dict[str, float]
    dimensions: dict[str, list[float]]


@dataclass
class History:
    """All finished epochs, and what was measured on the test set between them.

    Args:
        rows: One an epoch.
        test: Readings on the test set, each with its "epoch".
    """

    rows: list[EpochRow] = field(default_factory=list)
    test: list[dict[str, float]] = field(default_factory=list)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the rows as tensors for a checkpoint, scalars [E] in float64, dimensions [E, D]."""
        record = self.to_record()
        lists = {name: values for name, values in record.items() if name not in ("epochs", "test", "dimensions")}
        lists |= {f"dimensions.{name}": values for name, values in record["dimensions"].items()}
        return {name: torch.tensor(values, dtype=torch.float64) for name, values in lists.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load the rows from `state_dict`."""
        scalars = {name: values.tolist() for name, values in state.items() if not name.startswith("dimensions.")}
        vectors = {n.removeprefix("dimensions."): v.tolist() for n, v in state.items() if n.startswith("dimensions.")}
        epochs = len(next(iter(scalars.values()), []))
        self.rows = [
            EpochRow(i + 1, {n: v[i] for n, v in scalars.items()}, {n: v[i] for n, v in vectors.items()})
            for i in range(epochs)
        ]

    def to_record(self) -> dict[str, Any]:
        """Return plain data: lists over epochs, as `history.json` holds them."""
        first = self.rows[0] if self.rows else EpochRow(0, {}, {})
        return {
            "epochs": [row.epoch for row in self.rows],
            **{name: [row.scalars[name] for row in self.rows] for name in first.scalars},
            "test": self.test,
            "dimensions": {name: [row.dimensions[name] for row in self.rows] for name in first.dimensions},
        }
