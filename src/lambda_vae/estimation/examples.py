"""Examples with what they are conditioned on, such as the labels of p(x|z, y)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from lambda_vae.estimation.protocol import LatentVariableModel

__all__ = ["Conditional", "Examples", "conditioned", "taken", "x_of"]


@dataclass(frozen=True, eq=False)
class Examples:
    """Some x, each with its conditions.

    Args:
        x: The data, [B, ...].
        conditions: What comes with them: tensors and arrays with the examples along the first axis, lists with one item
            an example, dicts and tuples of these; anything else is shared by all.

    Example:
        >>> few = Examples(torch.zeros(3, 2), {"y": torch.arange(3), "name": ["a", "b", "c"]})[torch.tensor([2, 0])]
        >>> len(few), few.conditions
        (2, {'y': tensor([2, 0]), 'name': ['c', 'a']})
    """

    x: Tensor
    conditions: object

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: slice | Tensor) -> "Examples":
        return Examples(self.x[index], taken(self.conditions, index))

    @property
    def device(self) -> torch.device:
        """Where x is."""
        return self.x.device


@runtime_checkable
class Conditional(Protocol):
    """A model of p(x, z|c), which is a model of p(x, z) for any given c."""

    def given(self, conditions: object) -> LatentVariableModel:
        """Return the model of the examples with these conditions, in their order."""


def conditioned(vae: LatentVariableModel, batch: Tensor | Examples) -> tuple[LatentVariableModel, Tensor]:
    """Return the model of these very examples, and their x: of a plain tensor the model itself."""
    if isinstance(batch, Tensor):
        return vae, batch
    assert isinstance(vae, Conditional)
    return vae.given(batch.conditions), batch.x


def x_of(batch: Tensor | Examples) -> Tensor:
    """Return the data of a batch."""
    return batch if isinstance(batch, Tensor) else batch.x


def taken(conditions: object, index: slice | Tensor) -> object:
    """Return the conditions of some examples."""
    if isinstance(conditions, Tensor) and conditions.dim():
        return conditions[index if isinstance(index, slice) else index.to(conditions.device)]
    if isinstance(conditions, np.ndarray):
        return conditions[index if isinstance(index, slice) else index.cpu().numpy()]
    if isinstance(conditions, list):
        return conditions[index] if isinstance(index, slice) else [conditions[i] for i in index.tolist()]
    if isinstance(conditions, Mapping):
        return {name: taken(part, index) for name, part in conditions.items()}
    if isinstance(conditions, tuple):
        return tuple(taken(part, index) for part in conditions)
    return conditions
