"""Examples with what they are conditioned on, such as the labels of p(x|z, y)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from lambda_vae.estimation.protocol import LatentVariableModel

__all__ = ["Conditional", "Examples", "conditioned", "evenly", "joined", "regrouped", "taken", "x_of"]


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


def joined(parts: Sequence[Tensor | Examples]) -> Tensor | Examples:
    """Return the examples of several batches as one, conditions that are shared by all as the first has them.

    Example:
        >>> y = [Examples(torch.zeros(n, 2), {"y": torch.arange(n), "scale": 2.0}) for n in (2, 1)]
        >>> joined(y).conditions
        {'y': tensor([0, 1, 0]), 'scale': 2.0}
    """
    x = torch.cat([x_of(part) for part in parts])
    held = [part.conditions for part in parts if isinstance(part, Examples)]
    return Examples(x, _joined(held)) if held else x


def _joined(parts: Sequence[Any]) -> object:
    first = parts[0]
    if isinstance(first, Tensor) and first.dim():
        return torch.cat(list(parts))
    if isinstance(first, np.ndarray):
        return np.concatenate(parts)
    if isinstance(first, list):
        return [item for part in parts for item in part]
    if isinstance(first, Mapping):
        return {name: _joined([part[name] for part in parts]) for name in first}
    if isinstance(first, tuple):
        return tuple(_joined(column) for column in zip(*parts, strict=True))
    return first


def _form(part: object) -> object:
    """What two batches must share to be joined."""
    if isinstance(part, Examples):
        return _form(part.x), _form(part.conditions)
    if isinstance(part, Tensor | np.ndarray):
        return part.shape[1:], part.dtype
    if isinstance(part, Mapping):
        return {name: _form(own) for name, own in part.items()}
    return tuple(map(_form, part)) if isinstance(part, tuple) else type(part)


def evenly(
    batches: Iterable[Tensor | Examples], total: int | None, most: float, size: int
) -> Iterator[Tensor | Examples]:
    """Yield at most so many of the examples, spread over all of them, in groups of one size, the last one smaller.

    Args:
        batches: Of any size, which changes nothing in what is chosen or grouped.
        total: How many there are; None takes the first ones.
        most: How many to take.
        size: Of a group.

    Example:
        >>> [group.tolist() for group in evenly(torch.arange(10).split(3), 10, 5, 2)]
        [[1, 3], [5, 7], [9]]
    """
    return regrouped(_chosen(batches, total, most), size)


def _chosen(batches: Iterable[Tensor | Examples], total: int | None, most: float) -> Iterator[Tensor | Examples]:
    before = 0
    for batch in batches:
        index = torch.arange(before, before + len(batch))
        if total is None or total <= most:
            kept = index < most
        else:
            kept = ((index + 1) * most / total).floor() > (index * most / total).floor()
        if bool(kept.all()):
            yield batch
        elif bool(kept.any()):
            yield batch[kept.nonzero().flatten().to(batch.device)]
        elif total is None or total <= most:
            return
        before += len(batch)


def regrouped(batches: Iterable[Tensor | Examples], size: int) -> Iterator[Tensor | Examples]:
    """Yield the same examples in groups of one size, the last one smaller.

    Example:
        >>> [group.tolist() for group in regrouped(torch.arange(7).split(3), 2)]
        [[0, 1], [2, 3], [4, 5], [6]]
    """
    held: Tensor | Examples | None = None
    for batch in batches:
        if held is not None and _form(held) != _form(batch):  # series of another length cannot be put behind these
            yield held
            held = None
        while len(batch):
            missing = size - (0 if held is None else len(held))
            part = batch if len(batch) <= missing else batch[:missing]
            batch = batch[len(part) :]
            held = part if held is None else joined([held, part])
            if len(held) == size:
                yield held
                held = None
    if held is not None:
        yield held
