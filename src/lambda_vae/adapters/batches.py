"""Anybody's data: a tensor, or any iterable of batches, gone through as often as needed and never held."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lambda_vae.diagnostics.examples import Examples
from lambda_vae.errors import InputError

__all__ = ["ForeignBatches"]


@dataclass(frozen=True, eq=False)
class ForeignBatches:
    """The x of each batch, on the model's device, in the type and shape that the data give it.

    Args:
        data: A tensor or array [N, ...]; or batches that can be gone through again, each an x [B, ...], a tuple whose
            first item is x, or a dict, such as a DataLoader or a list.
        batch_size: For a tensor.
        device: Where the model is.
        x_names: Under which a dict may hold x; the first that it has is taken.
        wanted: What is of interest of the rest of a batch, places in a tuple or names in a dict, and comes as
            `Examples`; empty is x alone.

    Raises:
        InputError: The data can be gone through only once, or are no such thing.
    """

    data: object
    batch_size: int
    device: torch.device
    x_names: tuple[str, ...] = ("x", "data")
    wanted: frozenset[int | str] = frozenset()

    def __post_init__(self) -> None:
        data = self.data
        if isinstance(data, Iterator):
            raise InputError(
                f"data is a {type(data).__name__}, which can be gone through only once and may be used up; give the "
                "DataLoader itself, a tensor, or list(...) of the batches"
            )
        if self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}; it must be at least 1")
        if not isinstance(data, Iterable):
            raise InputError(f"data is a {type(data).__name__}; give a tensor, a DataLoader or a list of batches")

    def with_conditions(self, wanted: Iterable[int | str]) -> "ForeignBatches":
        """Return the same data with what comes beside x.

        Args:
            wanted: Of it.
        """
        return replace(self, wanted=frozenset(wanted))

    def first_conditions(self) -> tuple[object, ...] | dict[str, object]:
        """Return what comes beside x in the first batch, as the data give it."""
        for part in self._parts():
            return self._cut(part)[1]
        return ()

    def __iter__(self) -> Iterator[Tensor | Examples]:
        for part in self._parts():
            given, beside = self._cut(part)
            x = torch.as_tensor(given) if isinstance(given, np.ndarray) else given
            if not isinstance(x, Tensor) or x.dim() == 0:
                raise InputError(
                    f"a batch is a {type(part).__name__}; give tensors, or tuples whose first item is x: "
                    "[batch['x'] for batch in data] picks it"
                )
            if len(x):
                x = x.to(self.device)
                yield Examples(x, self._conditions(beside, x)) if self.wanted else x

    def _conditions(self, beside: tuple[object, ...] | dict[str, object], x: Tensor) -> object:
        if isinstance(beside, dict):
            own: object = {name: part for name, part in beside.items() if name in self.wanted}
        else:
            own = tuple(part if place in self.wanted else None for place, part in enumerate(beside))
        return _settled("a condition", own, len(x), self.device)

    def _parts(self) -> Iterable[object]:
        whole = torch.as_tensor(self.data) if isinstance(self.data, np.ndarray) else self.data
        if isinstance(whole, Tensor):
            return torch.split(whole, self.batch_size)
        assert isinstance(whole, Iterable)
        return whole

    def _cut(self, part: object) -> tuple[object, tuple[object, ...] | dict[str, object]]:
        """A batch as x and the rest."""
        if isinstance(part, Mapping):
            name = next((one for one in self.x_names if one in part), None)
            if name is None:
                raise InputError(
                    f"a batch is a {type(part).__name__} of {', '.join(map(repr, part))}, and which of them is x "
                    f"cannot be told; say x_key={next(iter(part), 'x')!r}"
                )
            return part[name], {key: value for key, value in part.items() if key != name}
        if isinstance(part, tuple | list) and part:
            return part[0], tuple(part[1:])
        return part, ()


def _settled(name: str, condition: object, count: int, device: torch.device) -> object:
    """A condition on the model's device, as `Examples` has it."""
    if condition is None or isinstance(condition, str | int | float):
        return condition
    if isinstance(condition, Mapping):
        return {key: _settled(f"the condition {key!r}", part, count, device) for key, part in condition.items()}
    if isinstance(condition, np.ndarray) and condition.dtype.kind in "biuf":
        condition = torch.as_tensor(condition)
    if isinstance(condition, Tensor) and condition.dim() == 0:
        return condition
    if isinstance(condition, tuple | list):
        if len(condition) != count or all(_along(part, count) for part in condition):
            return tuple(_settled(name, part, count, device) for part in condition)
        return list(condition)
    if not _along(condition, count):
        what = f"the shape {list(condition.shape)}" if isinstance(condition, Tensor) else f"type {type(condition)}"
        raise InputError(
            f"{name} has {what} for a batch of {count}; it must have one entry an example, and what all examples share "
            "belongs into the callable: `lambda x, z: log_likelihood(x, z, shared)`"
        )
    return condition.to(device) if isinstance(condition, Tensor) else condition


def _along(condition: object, count: int) -> bool:
    """Whether it is an array with the examples along its first axis."""
    return isinstance(condition, Tensor | np.ndarray) and condition.ndim > 0 and len(condition) == count
