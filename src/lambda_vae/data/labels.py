"""Labels in arrays: integers, strings or one-hot rows; other kinds are left out with a note."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_vae.data.arrays import StoredArray
from lambda_vae.errors import InputError

__all__ = ["Labels", "read_labels"]


@dataclass(frozen=True)
class Labels:
    """The labels of each part.

    Attributes:
        numbers: int64 [N] of each part, or None.
        classes: What they were called, if they were strings (numbered in alphabetical order).
        note: What was left out, for `Dataset.source`.
    """

    numbers: list[NDArray[np.int64] | None]
    classes: tuple[str, ...] | None
    note: str


def _one_a_row(values: NDArray[Any]) -> NDArray[Any] | None:
    """[N] of integers or strings, from that, [N, 1], whole floats or one-hot rows; None if it is anything else."""
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dtype.kind in "SU":
        return values.astype(str) if values.ndim == 1 else None
    if values.dtype.kind not in "iufb" or values.ndim not in (1, 2):
        return None
    if values.ndim == 2:
        one_hot = bool(np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all())
        return values.argmax(axis=1) if one_hot else None
    whole = bool((np.isfinite(values) & (values == np.rint(values))).all()) if values.dtype.kind == "f" else True
    return values.astype(np.int64) if whole else None


def read_labels(pairs: Sequence[tuple[StoredArray | None, StoredArray | None]]) -> Labels:
    """The labels of each part as numbers.

    Raises:
        InputError: There are more or fewer labels than examples.
    """
    read: list[NDArray[Any] | None] = []
    left: list[str] = []
    for stored, examples in pairs:
        if stored is None or examples is None:
            read.append(None)
            continue
        if stored.shape[0] != examples.shape[0]:
            raise InputError(
                f"{stored.where} has {stored.shape[0]} labels for {examples.shape[0]} examples; they must agree"
            )
        read.append(_one_a_row(stored.read()))
        if read[-1] is None:
            left.append(f"{stored.where.split(', ')[-1].strip(',')} {stored.dtype} {stored.shape}")
    note = f"; labels not read, which are not one integer or string a row: {', '.join(left)}" if left else ""
    given = [values for values in read if values is not None]
    if not any(values.dtype.kind == "U" for values in given):
        return Labels([None if values is None else values.astype(np.int64) for values in read], None, note)
    names = np.unique(np.concatenate(given))
    numbers = [None if values is None else np.searchsorted(names, values.astype(names.dtype)) for values in read]
    return Labels([None if n is None else n.astype(np.int64) for n in numbers], tuple(map(str, names)), note)
