"""What an array of numbers is read as, images or vectors, and how its values become the stored ones."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_vae.data.checks import check_finite, check_range
from lambda_vae.data.dataset import Kind
from lambda_vae.errors import InputError

__all__ = ["Reading", "reading_of"]


@dataclass(frozen=True)
class Reading:
    """How rows of an array become rows of a data set.

    Attributes:
        kind: "image" or "vector".
        shape: Of one example.
        convert: Takes rows, the number of the first one and a name for messages; gives uint8 or float32 rows.
        note: What is done to the values, for `Dataset.source`; empty if nothing.
    """

    kind: Kind
    shape: tuple[int, ...]
    convert: Callable[[NDArray[Any], int, str], NDArray[Any]]
    note: str


def _to_float32(chunk: NDArray[Any], first: int, where: str) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        small = chunk.astype(np.float32)
    check_finite(small, first, where)
    return small


def _unit_to_bytes(chunk: NDArray[Any], first: int, where: str) -> NDArray[np.uint8]:
    check_finite(chunk, first, where)
    check_range(chunk, 0, 1, first, where)
    return np.rint(chunk.astype(np.float64) * 255).astype(np.uint8)


def _integers_to_bytes(chunk: NDArray[Any], first: int, where: str) -> NDArray[np.uint8]:
    check_range(chunk, 0, 255, first, where)
    return chunk.astype(np.uint8)


def _booleans_to_bytes(chunk: NDArray[Any], first: int, where: str) -> NDArray[np.uint8]:
    return chunk.astype(np.uint8) * 255


_PIXELS: dict[str, tuple[Callable[[NDArray[Any], int, str], NDArray[Any]], str]] = {
    "u": (_integers_to_bytes, ""),
    "i": (_integers_to_bytes, ""),
    "b": (_booleans_to_bytes, ", true as 255"),
    "f": (_unit_to_bytes, ", floats in [0, 1] rounded to k/255"),
}


def reading_of(shape: tuple[int, ...], dtype: np.dtype[Any], where: str) -> Reading:
    """How an array of this shape and type is read.

    Float [N, F] is vectors, stored as float32. [N, H, W], [N, H, W, 1] and [N, H, W, 3] are images, stored as uint8:
    integers must lie in 0..255, floats in [0, 1] (they are rounded), booleans become 0 and 255.

    Args:
        shape: Of the whole array.
        dtype: Of the array.
        where: File and array, for the message.

    Returns:
        The reading.

    Raises:
        InputError: Any other shape or type.
    """
    if dtype.kind not in _PIXELS:
        raise InputError(f"{where} has the type {dtype}; examples must be integers, floats or booleans")
    if len(shape) == 2:
        if dtype.kind != "f":
            raise InputError(f"{where} is {dtype} {shape}; give vectors as floats, or images as [N, H, W]")
        return Reading("vector", shape[1:], _to_float32, "")
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)):
        raise InputError(f"{where} has shape {shape}; it must be [N, F], [N, H, W] or [N, H, W, 3]")
    convert, note = _PIXELS[dtype.kind]
    one = shape[1:3] if shape[3:] == (1,) else shape[1:]
    return Reading("image", one, convert, note)
