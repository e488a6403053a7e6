"""Stored numpy arrays, read as streams, and the user's .npy files; pickles in them are never executed."""

import math
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_vae.data.pixels import Reading, reading_of
from lambda_vae.data.source import Part, Source, rows_per_chunk, split_off_test
from lambda_vae.errors import InputError

__all__ = ["DAMAGE", "StoredArray", "npy_source", "part_of", "stored_array"]

DAMAGE = (EOFError, OSError, ValueError, SyntaxError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class StoredArray:
    """An array in a file, before any of its numbers are read.

    Attributes:
        where: File and array, for messages.
        shape: Of all of it.
        dtype: As stored.
        open: Opens it as a stream, its header first.
        whole: Gives all of it, for a column-major array, which cannot be streamed by rows; else None.
    """

    where: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    open: Callable[[], AbstractContextManager[BufferedReader]]
    whole: Callable[[], NDArray[Any]] | None

    def chunks(self) -> Generator[NDArray[Any], None, None]:
        """Rows in order; a column-major array cannot be streamed and is taken from `whole`."""
        row = math.prod(self.shape[1:]) * self.dtype.itemsize
        left, step = self.shape[0], rows_per_chunk(row)
        try:
            if self.whole is not None:
                array = self.whole()
                yield from (array[start : start + step] for start in range(0, left, step))
                return
            with self.open() as file:
                _header(file, self.where)
                while left:
                    data = file.read(min(step, left) * row)
                    if len(data) < min(step, left) * row:
                        raise InputError(f"{self.where} is truncated ({left} rows short or less); save it again")
                    left -= min(step, left)
                    yield np.frombuffer(data, self.dtype).reshape(-1, *self.shape[1:])
                file.read(1)  # a zip member's checksum is compared only when its end is read
        except InputError:
            raise
        except DAMAGE as error:
            raise InputError(f"{self.where} is damaged ({error}); save it again") from None

    def first(self) -> NDArray[Any]:
        """The first rows, as many as one chunk holds."""
        with closing(self.chunks()) as chunks:
            return next(chunks, np.empty((0, *self.shape[1:]), self.dtype))

    def read(self) -> NDArray[Any]:
        """All of it, for small arrays such as labels."""
        return np.concatenate([np.empty((0, *self.shape[1:]), self.dtype), *self.chunks()])


def _header(file: BufferedReader, where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, column-major or not, and dtype; refuses objects."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except DAMAGE as error:
        raise InputError(f"{where} is not a readable numpy array ({error}); save it with numpy.save or savez") from None
    if dtype.hasobject:
        raise InputError(f"{where} holds pickled Python objects, which are never loaded; save plain numbers instead")
    if not shape:
        raise InputError(f"{where} is a single value; an array with one example a row is needed")
    return shape, fortran and len(shape) > 1, dtype


def stored_array(
    where: str, opener: Callable[[], AbstractContextManager[BufferedReader]], whole: Callable[[], NDArray[Any]]
) -> StoredArray:
    """What the header in a stream of numpy's format says.

    Raises:
        InputError: It is damaged, holds objects, or is a single value.
    """
    try:
        with opener() as file:
            shape, fortran, dtype = _header(file, where)
    except InputError:
        raise
    except DAMAGE as error:
        raise InputError(f"{where} is damaged ({error}); save it again") from None
    return StoredArray(where, shape, dtype, opener, whole if fortran else None)


def part_of(array: StoredArray, reading: Reading, labels: NDArray[np.int64] | None) -> Part:
    """The rows of `array`, converted as `reading` says, with their labels."""

    def chunks() -> Iterator[NDArray[Any]]:
        first = 0
        for chunk in array.chunks():
            yield reading.convert(chunk, first, array.where)
            first += len(chunk)

    return Part(array.shape[0], chunks, labels)


def npy_source(path: Path) -> Source:
    """One array of examples; a test part is split off.

    Returns:
        The source, without labels.

    Raises:
        InputError: The file is damaged, holds objects, or has another shape or type.
    """
    array = stored_array(str(path), lambda: path.open("rb"), lambda: np.load(path, mmap_mode="r", allow_pickle=False))
    reading = reading_of(array.shape, array.dtype, array.where, array.first)
    train, test = split_off_test(part_of(array, reading, None))
    note = f"{path.name}{reading.note}; a tenth split off as the test part"
    return Source(reading.kind, reading.shape, train, test, note)
