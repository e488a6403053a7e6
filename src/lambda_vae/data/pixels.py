"""How an array of numbers is read, as images or vectors, and how its values become the stored ones."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_vae.data.checks import check_finite, check_range
from lambda_vae.data.dataset import Kind
from lambda_vae.errors import InputError

__all__ = ["Reading", "reading_of", "to_float32"]

Convert = Callable[[NDArray[Any], int, str], NDArray[Any]]

#: How far a pixel k/255 may lie from it after half precision, or after four decimals.
_NEAR = {2: 0.07, 4: 0.02, 8: 0.02}

_FLAT = "x.reshape(len(x), -1) for vectors under a Gaussian"


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
    convert: Convert
    note: str


def to_float32(chunk: NDArray[Any], first: int, where: str) -> NDArray[np.float32]:
    """Return rows as float32, once all are known to be finite in it; `first` is the number of the first row."""
    with np.errstate(over="ignore"):
        small = chunk.astype(np.float32)
    check_finite(small, first, where)
    return small


def _unit_to_bytes(chunk: NDArray[Any], first: int, where: str) -> NDArray[np.uint8]:
    check_finite(chunk, first, where)
    whole = float(chunk.min(initial=0)) >= 0 and float(chunk.max(initial=0)) <= 255
    check_range(chunk, 0, 1, first, where, hint="save x / 255" if whole else f"save images scaled to it, or {_FLAT}")
    return np.rint(chunk.astype(np.float64) * 255).astype(np.uint8)


def _integers_to_bytes(chunk: NDArray[Any], first: int, where: str) -> NDArray[np.uint8]:
    check_range(
        chunk, 0, 255, first, where, hint="save images scaled to it, or vectors flat, [N, F], as x.astype('float32')"
    )
    return chunk.astype(np.uint8)


def _bits_to_bytes(chunk: NDArray[Any], first: int, where: str) -> NDArray[np.uint8]:
    check_range(chunk, 0, 1, first, where, hint="as in the rows before; save images of bits, or of values up to 255")
    return chunk.astype(np.uint8) * 255


_PIXELS: dict[str, tuple[Convert, str]] = {
    "u": (_integers_to_bytes, ""),
    "i": (_integers_to_bytes, ""),
    "b": (_bits_to_bytes, ", true as 255"),
    "f": (_unit_to_bytes, ", floats in [0, 1] rounded to k/255"),
}


def _of_pixels(rows: NDArray[np.floating]) -> bool:
    """Whether floats are those of images of at most 8 bits: all of them k/255 or k/256, but for a few strays."""
    inside = rows[(rows >= 0) & (rows <= 1)].astype(np.float64)
    near = _NEAR.get(rows.dtype.itemsize, 0.02)
    return 2 * inside.size > rows.size and any(
        bool((np.abs(inside * levels - np.rint(inside * levels)) < near).all()) for levels in (255, 256)
    )


def _image(shape: tuple[int, ...], dtype: np.dtype[Any], rows: Callable[[], NDArray[Any]]) -> Reading:
    """A reading of [N, H, W] or [N, H, W, C]; integers that are 0 and 1 alone are bits, not nearly black pixels."""
    convert, note = _PIXELS[dtype.kind]
    if dtype.kind in "iu":
        first = rows()
        if first.size and (first.min(), first.max()) == (0, 1):
            convert, note = _bits_to_bytes, ", 0 and 1 as 0 and 255"
    return Reading("image", shape[1:3] if shape[3:] == (1,) else shape[1:], convert, note)


def _three_axes(shape: tuple[int, ...], dtype: np.dtype[Any], where: str, rows: Callable[[], NDArray[Any]]) -> Reading:
    """Images [N, H, W]; or series [N, T, F], which floats may as well be: only 8-bit levels tell images from them."""
    said = f"{where} is {dtype} {shape}"
    if 1 in shape[1:] and dtype.kind == "f":

        def flat(chunk: NDArray[Any], first: int, where: str) -> NDArray[Any]:
            return to_float32(chunk.reshape(len(chunk), -1), first, where)

        return Reading("vector", (shape[1] * shape[2],), flat, f", series [N, {shape[1]}, {shape[2]}] as vectors")
    if shape[2] == 1 and dtype.kind in "iu":
        raise InputError(f"{said}; save series as floats [N, F], x.reshape(len(x), -1).astype('float32')")
    if dtype.kind == "f" and not _of_pixels(first := rows()):
        if first.min() >= 0 and first.max() <= 255 and (first == np.rint(first)).all():
            raise InputError(f"{said} of whole numbers; values must lie in [0, 1]: save images as x.astype('uint8')")
        raise InputError(
            f"{said}, which may be series or images: save {_FLAT}, or images in [0, 1] as x[..., None], [N, H, W, 1]"
        )
    return _image(shape, dtype, rows)


def _four_axes(shape: tuple[int, ...], dtype: np.dtype[Any], where: str, rows: Callable[[], NDArray[Any]]) -> Reading:
    """Images with their channels last, or first as torch has them; these are moved."""
    if shape[3] in (1, 3):
        return _image(shape, dtype, rows)
    if shape[1] in (1, 3):
        last = _image((shape[0], *shape[2:], shape[1]), dtype, rows)

        def moved(chunk: NDArray[Any], first: int, where: str) -> NDArray[Any]:
            return last.convert(chunk.transpose(0, 2, 3, 1), first, where)

        return replace(last, convert=moved, note=f"{last.note}, channels moved last (x.transpose(0, 2, 3, 1))")
    if shape[3] == 4 or (shape[1] == 4 and min(shape[2:]) > 4):
        keep = "x[..., :3]" if shape[3] == 4 else "x[:, :3].transpose(0, 2, 3, 1)"
        raise InputError(f"{where} has shape {shape}, four channels; lay them on a colour, or save {keep}")
    raise InputError(f"{where} has shape {shape}; it must be [N, H, W, 3], [N, H, W, 1], or save {_FLAT}")


def reading_of(shape: tuple[int, ...], dtype: np.dtype[Any], where: str, rows: Callable[[], NDArray[Any]]) -> Reading:
    """How an array of this shape and type is read.

    Float [N, F] is vectors, stored as float32, and so are float series [N, T, 1] and [N, 1, T]. [N, H, W],
    [N, H, W, 1] and [N, H, W, 3] are images, stored as uint8: integers must lie in 0..255 (0 and 1 alone are bits),
    floats in [0, 1] (they are rounded), booleans become 0 and 255. Channels that stand first are moved last.

    Args:
        shape: Of the whole array.
        dtype: Of the array.
        where: File and array, for the message.
        rows: Gives the first rows; called only where their values decide.

    Returns:
        The reading.

    Raises:
        InputError: Any other shape or type; or floats [N, A, B] that are no 8-bit levels, where it must be asked
            whether they are images.
    """
    if dtype.names:
        columns = ", ".join(dtype.names[:8])
        raise InputError(
            f"{where} has the type {dtype}, records of {columns}; save their numbers alone, "
            "numpy.lib.recfunctions.structured_to_unstructured(x)"
        )
    if dtype.kind not in _PIXELS:
        raise InputError(f"{where} has the type {dtype}; examples must be integers, floats or booleans")
    if len(shape) == 2:
        if dtype.kind != "f":
            raise InputError(
                f"{where} is {dtype} {shape}; give vectors as floats, x.astype('float32'), or images as [N, H, W]"
            )
        return Reading("vector", shape[1:], to_float32, "")
    if len(shape) not in (3, 4):
        raise InputError(
            f"{where} has shape {shape}; it must be [N, F], [N, H, W] or [N, H, W, 3]"
            + (f"; or save {_FLAT}" if len(shape) > 4 else "")
        )
    return (_three_axes if len(shape) == 3 else _four_axes)(shape, dtype, where, rows)
