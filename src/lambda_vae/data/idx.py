"""IDX files, the format of MNIST, plain or compressed, read as a stream."""

import bz2
import gzip
import lzma
import math
import struct
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from lambda_vae.data.source import Part, Source, rows_per_chunk, split_off_test
from lambda_vae.errors import InputError

__all__ = [
    "DAMAGE",
    "IDX_NAMES",
    "idx_folder_source",
    "idx_shape",
    "idx_source",
    "is_idx",
    "labels_beside",
    "named_file",
    "open_raw",
    "read_idx",
]

IDX_NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
"""File names of MNIST's images and labels; `.gz` may follow."""

DAMAGE = (EOFError, OSError, zlib.error, lzma.LZMAError)
"""What reading a damaged compressed stream raises."""

#: What each kind of compressed file begins with, the ending it bears, and what opens it.
_PACKED = ((b"\x1f\x8b", ".gz", gzip.open), (b"\xfd7zXZ\0", ".xz", lzma.open), (b"BZh", ".bz2", bz2.open))

_ENDINGS = ("", *(ending for _, ending, _ in _PACKED))


#: A file opened for its uncompressed content.
RawFile = BufferedReader | gzip.GzipFile | lzma.LZMAFile | bz2.BZ2File


def open_raw(path: Path) -> RawFile:
    """`path` opened for reading its uncompressed content; gzip, xz and bzip2 are told by the first bytes."""
    with path.open("rb") as file:
        start = file.read(6)
    opener = next((opener for magic, _, opener in _PACKED if start.startswith(magic)), None)
    return path.open("rb") if opener is None else cast(RawFile, opener(path, "rb"))


def _unpacked_name(path: Path) -> str:
    return path.stem if path.suffix in _ENDINGS else path.name


def is_idx(path: Path) -> bool:
    """True for the names IDX files bear: `...-idx3-ubyte`, `....idx3-ubyte`, either compressed or not."""
    return _unpacked_name(path).endswith("-ubyte")


def _damaged(path: Path, what: str) -> InputError:
    return InputError(f"{path} is {what}; fetch or export it again")


def _read_header(file: RawFile, path: Path) -> tuple[int, ...]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[3] == 0:
        raise _damaged(path, "not an IDX file (it must start with two zero bytes, a type and a number of axes)")
    if magic[2] != 0x08:
        raise InputError(f"{path} holds IDX type 0x{magic[2]:02x}; only unsigned bytes (0x08) are read")
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise _damaged(path, "truncated in its header")
    return struct.unpack(f">{magic[3]}I", sizes)


def idx_shape(path: Path) -> tuple[int, ...]:
    """The shape that the header of `path` states.

    Raises:
        InputError: It is not an IDX file of unsigned bytes, or is damaged.
    """
    try:
        with open_raw(path) as file:
            return _read_header(file, path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except DAMAGE as error:
        raise _damaged(path, f"truncated or corrupt ({error})") from None


def read_idx(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Chunks [n, ...] of the array in `path`, in order.

    Raises:
        InputError: The file is truncated, corrupt, or longer than its header says.
    """
    try:
        with open_raw(path) as file:
            shape = _read_header(file, path)
            row = math.prod(shape[1:])
            left, step = shape[0], rows_per_chunk(row)
            while left:
                data = file.read(min(step, left) * row)
                if len(data) < min(step, left) * row:
                    raise _damaged(path, f"truncated ({left} of {shape[0]} rows are not all there)")
                chunk = np.frombuffer(data, dtype=np.uint8).reshape(-1, *shape[1:])
                left -= len(chunk)
                yield chunk
            if file.read(1):
                raise _damaged(path, "longer than its header says")
    except DAMAGE as error:
        raise _damaged(path, f"truncated or corrupt ({error})") from None


def _labels(path: Path, count: int) -> NDArray[np.int64]:
    shape = idx_shape(path)
    if shape != (count,):
        raise InputError(f"{path} has shape {shape}; {count} images need labels of shape ({count},)")
    return np.concatenate([np.empty(0, np.uint8), *read_idx(path)]).astype(np.int64)


def _part(images: Path, labels: Path | None) -> tuple[Part, tuple[int, ...]]:
    count, *shape = idx_shape(images)
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] != 3):
        raise InputError(f"{images} has shape {(count, *shape)}; images must be [N, H, W] or [N, H, W, 3]")
    y = None if labels is None else _labels(labels, count)

    def chunks() -> Iterator[NDArray[Any]]:
        return read_idx(images)

    return Part(count, chunks, y), tuple(shape)


def labels_beside(images: Path) -> Path | None:
    """The labels that belong to an images file, by name, if they are there."""
    name = images.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    stem = _unpacked_name(Path(name))
    found = [path for ending in _ENDINGS if (path := images.with_name(f"{stem}{ending}")).exists()]
    return found[0] if found and found[0] != images else None


def idx_source(images: Path) -> Source:
    """One images file, [N, H, W] or [N, H, W, 3], with labels that are named as MNIST's; a test part is split off."""
    part, shape = _part(images, labels_beside(images))
    train, test = split_off_test(part)
    others = (images.with_name(images.name.replace("train", word)) for word in ("t10k", "test"))
    unread = next((f"; not read: {other.name}" for other in others if other != images and other.exists()), "")
    return Source("image", shape, train, test, f"IDX file {images.name}; a tenth split off as the test part{unread}")


def named_file(folder: Path, stem: str) -> Path | None:
    """`stem`, plain or compressed, in `folder`, also spelt with a dot before `idx`, as once; None if absent."""
    for name in (stem, stem.replace("-idx", ".idx")):
        for ending in _ENDINGS:
            if (path := folder / f"{name}{ending}").is_file():
                return path
    return None


def idx_folder_source(folder: Path, source: str = "") -> Source:
    """A folder that holds MNIST's four files, or any data in files of those names (labels may be missing).

    Raises:
        InputError: An images file is missing, or the parts differ in shape.
    """
    parts, shapes = [], []
    for images, labels in IDX_NAMES.values():
        path = named_file(folder, images)
        if path is None:
            raise InputError(f"{folder} has no {images} or {images}.gz; put it there")
        part, shape = _part(path, named_file(folder, labels))
        parts.append(part)
        shapes.append(shape)
    if shapes[0] != shapes[1]:
        raise InputError(f"{folder}: train images are {shapes[0]} and test images {shapes[1]}; they must be one shape")
    return Source("image", shapes[0], parts[0], parts[1], source or f"IDX files in {folder.name}")
