"""Anybody's data as batches that can be gone through again, each as the data give it."""

import itertools
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from lambda_vae.any_vae.containers import Whole, dense, is_named, package_of, whole
from lambda_vae.errors import InputError

__all__ = ["Cut", "opened"]


@dataclass(frozen=True, eq=False)
class Cut:
    """A data set in one piece, cut into batches."""

    data: Whole
    batch_size: int

    def __len__(self) -> int:
        return -(-self.data.length // self.batch_size)

    def __iter__(self) -> Iterator[object]:
        for at in range(0, self.data.length, self.batch_size):
            yield self.data.rows(slice(at, min(at + self.batch_size, self.data.length)))


@dataclass(frozen=True, eq=False)
class _Stacked:
    """A dataset's examples, put together as a DataLoader does it unless told otherwise."""

    data: Dataset[object]
    batch_size: int

    def __iter__(self) -> Iterator[object]:
        try:
            yield from DataLoader(self.data, batch_size=self.batch_size)
        except (TypeError, RuntimeError) as error:
            raise InputError(
                f"the examples of data, a {type(self.data).__name__}, cannot be stacked to batches "
                f"({str(error).splitlines()[0]}); give DataLoader(data, batch_size={self.batch_size}, collate_fn=...)"
            ) from error


def opened(data: Any, batch_size: int) -> Iterable[object]:  # noqa: ANN401 - what it is, is looked at
    """Return the batches of a data set.

    Raises:
        InputError: The data can be gone through only once, or are no such thing.
    """
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; it must be at least 1")
    if isinstance(data, str | Path):
        raise InputError(
            f"data is the text {str(data)!r}; lambda_vae.any_vae.named.named_batches({str(data)!r}) reads a named set "
            "or a file"
        )
    pieces = whole(data)
    if pieces is not None:
        return Cut(pieces, batch_size)
    if isinstance(data, IterableDataset):
        raise InputError(
            f"data is a {type(data).__name__}, which may give examples or batches; give "
            f"DataLoader(data, batch_size={batch_size}), or batch_size=None if it gives batches"
        )
    if isinstance(data, Dataset):
        if not isinstance(data, Sized):
            raise InputError(f"data is a {type(data).__name__} without a length; give a DataLoader of it")
        return _Stacked(data, batch_size)
    if isinstance(data, Iterator) and not _begins_anew(data):
        raise InputError(
            f"data is a {type(data).__name__}, which can be gone through only once and may be used up; give the "
            "DataLoader itself, a tensor, or list(...) of the batches"
        )
    if not isinstance(data, Iterable):
        raise InputError(f"data is a {type(data).__name__}; give a tensor, a DataLoader or a list of batches")
    return data


def _begins_anew(data: Iterator[object]) -> bool:
    """Whether what is its own iterator starts again when it is asked to, as some loaders do."""
    if package_of(data) in ("builtins", "itertools", "torch"):
        return False
    one, other = (next(iter(data), None) for _ in range(2))
    if one is None or other is None:
        return False
    if _same(one, other):
        return True
    if not isinstance(data, Sized):
        return False
    most = len(data) + 1  # those who shuffle begin with another batch
    counts = [sum(1 for _ in itertools.islice(iter(data), most)) for _ in range(2)]
    return counts[0] == counts[1] > 0


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401 - any batches
    if type(one) is not type(other):
        return False
    if is_named(one):
        return bool(list(one.keys()) == list(other.keys())) and all(
            _same(one[name], other[name]) for name in one.keys()
        )
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, Tensor) or hasattr(one, "shape"):
        both = [dense("data", part) for part in (one, other)]
        return both[0] is not None and both[1] is not None and torch.equal(both[0], both[1])
    return bool(one == other)
