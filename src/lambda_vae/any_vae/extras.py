"""What a batch holds besides x, made ready to be handed on as conditions."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lambda_vae.any_vae.containers import dense, is_named
from lambda_vae.errors import InputError

__all__ = ["Extras", "as_conditions"]

#: In its order, or by name.
Extras = tuple[object, ...] | dict[str, object]


def as_conditions(
    name: str,
    condition: Any,  # noqa: ANN401 - anything
    count: int,
    device: torch.device,
    floats: torch.dtype,
) -> object:
    """Return a condition on the model's device, as `Examples` has it; a number, a text or None is shared by all.

    Raises:
        InputError: It has not one entry an example.
    """
    if condition is None or isinstance(condition, str | int | float):
        return condition
    if is_named(condition):
        names = list(condition.keys())
        return {key: as_conditions(f"the condition {key!r}", condition[key], count, device, floats) for key in names}
    if isinstance(condition, tuple | list):
        if len(condition) != count or all(_along(part, count) for part in condition):
            return tuple(as_conditions(name, part, count, device, floats) for part in condition)
        return list(condition)
    values = _numbers(name, condition)
    if isinstance(values, Tensor):
        values = values.to(device, floats if values.is_floating_point() else None)
        if values.dim() == 0:
            return values
    if not _along(values, count):
        what = f"the shape {list(values.shape)}" if hasattr(values, "shape") else f"type {type(values).__name__}"
        raise InputError(
            f"{name} has {what} for a batch of {count}; it must have one entry an example, and what all examples share "
            "belongs into the callable: `lambda x, z: log_likelihood(x, z, shared)`"
        )
    return values


def _numbers(name: str, condition: Any) -> Any:  # noqa: ANN401 - anything
    """A tensor of what are numbers; texts stay an array."""
    if hasattr(condition, "to_numpy"):
        condition = condition.to_numpy()
    if isinstance(condition, np.ndarray) and condition.dtype.kind not in "biuf":
        return condition
    values = dense(name, condition)
    return condition if values is None else values


def _along(condition: object, count: int) -> bool:
    """Whether it is an array with the examples along its first axis."""
    return isinstance(condition, Tensor | np.ndarray) and condition.ndim > 0 and len(condition) == count
