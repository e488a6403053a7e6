"""The user's .npy and .npz files, read as streams; pickles in them are never executed."""

import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from lambda_vae.data.pixels import Reading, reading_of
from lambda_vae.data.source import Part, Source, rows_per_chunk, split_off_test
from lambda_vae.errors import InputError

__all__ = ["npy_source", "npz_source"]

_TRAIN, _TEST, _ALL = ("train", "x_train"), ("test", "x_test"), ("x", "images")
_TRAIN_LABELS, _TEST_LABELS, _LABELS = ("y_train", "train_labels"), ("y_test", "test_labels"), ("y", "labels")
_CLASSES = ("classes", "label_names")

_DAMAGE = (
    EOFError,
    OSError,
    ValueError,
    SyntaxError,
    zlib.error,
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
)


@dataclass(frozen=True)
class _Array:
    """A stored array before any of its numbers are read; `where` names it in messages."""

    where: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    open: Callable[[], AbstractContextManager[BufferedReader]]
    whole: Callable[[], NDArray[Any]] | None

    def chunks(self) -> Iterator[NDArray[Any]]:
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
        except _DAMAGE as error:
            raise InputError(f"{self.where} is damaged ({error}); save it again") from None

    def read(self) -> NDArray[Any]:
        """All of it, for small arrays such as labels."""
        return np.concatenate([np.empty((0, *self.shape[1:]), self.dtype), *self.chunks()])


def _header(file: BufferedReader, where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, column-major or not, and dtype; refuses objects."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except _DAMAGE as error:
        raise InputError(f"{where} is not a readable numpy array ({error}); save it with numpy.save or savez") from None
    if dtype.hasobject:
        raise InputError(f"{where} holds pickled Python objects, which are never loaded; save plain numbers instead")
    if not shape:
        raise InputError(f"{where} is a single value; an array with one example a row is needed")
    return shape, fortran and len(shape) > 1, dtype


def _array(
    where: str, opener: Callable[[], AbstractContextManager[BufferedReader]], whole: Callable[[], NDArray[Any]]
) -> _Array:
    try:
        with opener() as file:
            shape, fortran, dtype = _header(file, where)
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(f"{where} is damaged ({error}); save it again") from None
    return _Array(where, shape, dtype, opener, whole if fortran else None)


def _part(array: _Array, reading: Reading, labels: NDArray[np.int64] | None) -> Part:
    def chunks() -> Iterator[NDArray[Any]]:
        first = 0
        for chunk in array.chunks():
            yield reading.convert(chunk, first, array.where)
            first += len(chunk)

    return Part(array.shape[0], chunks, labels)


def npy_source(path: Path) -> Source:
    """One array of examples; a test part is split off.

    Args:
        path: A .npy file: float [N, F], or images [N, H, W] or [N, H, W, 3].

    Returns:
        The source, without labels.

    Raises:
        InputError: The file is damaged, holds objects, or has another shape or type.
    """
    array = _array(str(path), lambda: path.open("rb"), lambda: np.load(path, mmap_mode="r", allow_pickle=False))
    reading = reading_of(array.shape, array.dtype, array.where)
    train, test = split_off_test(_part(array, reading, None))
    note = f"{path.name}{reading.note}; a tenth split off as the test part"
    return Source(reading.kind, reading.shape, train, test, note)


@contextmanager
def _member(path: Path, name: str) -> Iterator[BufferedReader]:
    """One stored array of a .npz file as a stream; the archive is closed with it."""
    with zipfile.ZipFile(path) as archive, archive.open(name) as member:
        yield BufferedReader(cast(zipfile.ZipExtFile, member))


def _open_npz(path: Path) -> dict[str, _Array]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
    except _DAMAGE as error:
        raise InputError(f"{path} is not a readable .npz file ({error}); save it again") from None

    def whole(key: str) -> Callable[[], NDArray[Any]]:
        def read() -> NDArray[Any]:
            with np.load(path, allow_pickle=False) as archive:
                return np.asarray(archive[key])

        return read

    wanted = {*_TRAIN, *_TEST, *_ALL, *_TRAIN_LABELS, *_TEST_LABELS, *_LABELS, *_CLASSES}
    keys = {name.removesuffix(".npy"): name for name in names}
    found = {
        key: _array(f"{path}, {key!r},", partial(_member, path, name), whole(key))
        for key, name in keys.items()
        if key in wanted
    }
    if not found:
        raise InputError(
            f"{path} has the arrays {', '.join(sorted(keys)) or 'none'}; name the examples x, or train and test"
        )
    return found


def _first(arrays: dict[str, _Array], keys: Sequence[str]) -> _Array | None:
    return next((arrays[key] for key in keys if key in arrays), None)


def _labels(parts: list[_Array | None]) -> tuple[list[NDArray[np.int64] | None], tuple[str, ...] | None]:
    """Labels as numbers, with the names they had if they were strings (numbered in alphabetical order)."""
    raw = [None if part is None else part.read() for part in parts]
    for part, values in zip(parts, raw, strict=True):
        if part is not None and values is not None and (values.ndim != 1 or values.dtype.kind not in "iuU"):
            raise InputError(
                f"{part.where} is {values.dtype} {values.shape}; labels must be one integer or string a row"
            )
    given = [values for values in raw if values is not None]
    if not any(values.dtype.kind == "U" for values in given):
        return [None if values is None else values.astype(np.int64) for values in raw], None
    names = np.unique(np.concatenate(given))
    numbers = [None if values is None else np.searchsorted(names, values).astype(np.int64) for values in raw]
    return numbers, tuple(str(name) for name in names)


def npz_source(path: Path) -> Source:
    """Examples under `x` or `images`, with labels under `y` or `labels`; or in two parts that come split.

    Two parts are `train` and `test` (or `x_train` and `x_test`), with labels `y_train` and `y_test` (or `train_labels`
    and `test_labels`). Without a test part one is split off. Labels are integers or strings; `classes` or `label_names`
    may name the integers.

    Args:
        path: A .npz file.

    Returns:
        The source.

    Raises:
        InputError: The file is damaged, holds objects, or lacks these keys, or an array has another shape or type.
    """
    arrays = _open_npz(path)
    train = _first(arrays, _TRAIN) or _first(arrays, _ALL)
    test = _first(arrays, _TEST)
    if train is None:
        raise InputError(f"{path} has the arrays {', '.join(sorted(arrays))}; name the examples x, or train and test")
    train_labels = _first(arrays, _TRAIN_LABELS) or _first(arrays, _LABELS)
    (y, y_test), classes = _labels([train_labels, _first(arrays, _TEST_LABELS)])
    if names := _first(arrays, _CLASSES):
        classes = tuple(str(name) for name in names.read())
    reading = reading_of(train.shape, train.dtype, train.where)
    train_part = _part(train, reading, _agreeing(train_labels, y, train))
    if test is None:
        parts, note = split_off_test(train_part), "; a tenth split off as the test part"
    else:
        parts, note = (train_part, _test_part(test, reading, y_test)), ""
    return Source(reading.kind, reading.shape, *parts, f"{path.name}{reading.note}{note}", classes)


def _agreeing(where: _Array | None, labels: NDArray[np.int64] | None, rows: _Array) -> NDArray[np.int64] | None:
    if where is not None and where.shape[0] != rows.shape[0]:
        raise InputError(f"{where.where} has {where.shape[0]} labels for {rows.shape[0]} examples; they must agree")
    return labels


def _test_part(test: _Array, train: Reading, labels: NDArray[np.int64] | None) -> Part:
    reading = reading_of(test.shape, test.dtype, test.where)
    if (reading.kind, reading.shape) != (train.kind, train.shape):
        raise InputError(
            f"{test.where} holds {reading.kind}s of shape {reading.shape} and the training part {train.kind}s of shape "
            f"{train.shape}; they must be alike"
        )
    return _part(test, reading, labels)
