"""Tables: numeric columns become vectors; what is no number, or missing, is named with its column."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Shaped
from numpy.typing import NDArray

from lambda_vae.data.pixels import to_float32
from lambda_vae.data.source import Part, Source, listed, split_off_test
from lambda_vae.errors import InputError

__all__ = ["Column", "Table", "table_source"]

#: A column of such a name, of integers or words, holds labels.
_LABELS = ("label", "labels", "class")

#: Columns whose standard deviations differ by more than this factor get a note.
_SCALES = 10


#: A column must vary by so many steps of float32.
_STEPS = 10

#: So many columns of whole numbers up to white are the pixels of images, most likely.
_PIXELS, _WHITE = 64, 255


@dataclass(frozen=True)
class Column:
    """Some rows of one column.

    Attributes:
        values: float64 [n]; or strings [n] where they are no numbers.
        missing: bool [n], where there is no value.
    """

    values: NDArray[Any]
    missing: NDArray[np.bool_]


@dataclass(frozen=True)
class Table:
    """A table in a file.

    Attributes:
        where: The file, for messages.
        title: What it is, for `Dataset.source`.
        names: Of the columns.
        chunks: Starts a fresh pass; gives some rows of all columns, in order.
        remedy: How columns that are no numbers are made into such, for the message.
    """

    where: str
    title: str
    names: Sequence[str]
    chunks: Callable[[], Iterator[Sequence[Column]]]
    remedy: str


def _no_number(words: Shaped[np.ndarray, "..."]) -> str:
    """The first of the words that is no number, or the first of all."""
    for word in words:
        try:
            float(word)
        except ValueError:
            return str(word)
    return str(words[0]) if len(words) else ""


@dataclass
class _Summary:
    """What a first pass finds in a column; `shown` is an example of a value that is no number."""

    name: str
    missing: int = 0
    first_missing: int = 0
    shown: str = ""
    numeric: bool = True
    whole: bool = True
    low: float = np.inf
    high: float = -np.inf
    counts_from: set[int] = field(default_factory=lambda: {0, 1})
    deviation: float = 0.0
    rows: int = 0
    _mean: float = 0.0
    _square: float = 0.0

    def add(self, column: Column) -> None:
        """Take in the next rows."""
        n = len(column.values)
        if column.missing.any():
            self.first_missing = self.first_missing if self.missing else self.rows + int(column.missing.argmax())
            self.missing += int(column.missing.sum())
        if column.values.dtype.kind != "f":
            self.shown = self.shown or _no_number(column.values[~column.missing])
            self.numeric = False
        elif self.numeric and not column.missing.any():
            self._add_numbers(column.values)
        self.rows += n

    def _add_numbers(self, values: NDArray[np.float64]) -> None:
        """By Chan, Golub and LeVeque's update, which no large mean spoils."""
        index, n = np.arange(self.rows, self.rows + len(values)), len(values)
        self.whole = self.whole and bool((values == np.rint(values)).all())
        self.counts_from = {start for start in self.counts_from if (values == index + start).all()}
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        with np.errstate(over="ignore", invalid="ignore"):
            apart = values.mean() - self._mean
            self._square += float(((values - values.mean()) ** 2).sum() + apart**2 * self.rows * n / (self.rows + n))
            self._mean += float(apart * n / (self.rows + n))
            self.deviation = float(np.sqrt(self._square / (self.rows + n)))

    @property
    def counter(self) -> bool:
        """Whether it numbers the rows."""
        return self.numeric and not self.missing and self.rows > 1 and bool(self.counts_from)

    @property
    def label(self) -> bool:
        """Whether it holds labels."""
        return self.name.strip().lower() in _LABELS and (not self.numeric or self.whole)


def _summaries(table: Table) -> list[_Summary]:
    columns = [_Summary(name or f"column {number}") for number, name in enumerate(table.names, 1)]
    for chunk in table.chunks():
        for summary, column in zip(columns, chunk, strict=True):
            summary.add(column)
    return columns


def _refuse_unfit(table: Table, columns: Sequence[_Summary]) -> None:
    gaps = [f"{c.name} {c.missing} (first in row {c.first_missing})" for c in columns if c.missing]
    words = [f"{c.name} ({c.shown[:40]!r})" for c in columns if not c.numeric and not c.label]
    faults = [f"missing values: {listed(gaps, 12)}; fill them in, or leave out those rows or columns"] if gaps else []
    faults += [f"columns that are not numbers: {listed(words, 12)}; {table.remedy}"] if words else []
    if faults:
        raise InputError(f"{table.where} has {'; and '.join(faults)}")


def _refuse_rounded(table: Table, columns: Sequence[_Summary]) -> None:
    """Raise where float32 would leave little of a column's variation, as of seconds since 1970."""
    for column in columns:
        largest = min(max(abs(column.low), abs(column.high)), float(np.finfo(np.float32).max))
        step = math.ldexp(1.0, math.frexp(largest)[1] - 24)
        if 0 < column.deviation < _STEPS * step:
            raise InputError(
                f"{table.where}, {column.name}, has values up to {largest:.3g} that differ by {column.deviation:.3g}, "
                f"too little for float32, whose step there is {step:.3g}; subtract the column's mean"
            )


def _said_of_scales(columns: Sequence[_Summary]) -> str:
    if len(columns) >= _PIXELS and all(c.whole and c.low >= 0 and c.high <= _WHITE for c in columns):
        return "; whole numbers up to 255, as vectors: save images as [N, H, W] of uint8 in an .npy"
    constant = [column.name for column in columns if column.deviation == 0]
    note = f"; constant: {listed(constant)}" if constant else ""
    varying = sorted((column for column in columns if column.deviation > 0), key=lambda column: column.deviation)
    if len(varying) > 1 and varying[-1].deviation > _SCALES * varying[0].deviation:
        ends = [f"{column.deviation:.3g} ({column.name})" for column in (varying[0], varying[-1])]
        note += f"; standard deviations from {ends[0]} to {ends[1]}, not standardised"
    return note


def _labels(table: Table, number: int) -> tuple[NDArray[np.int64], tuple[str, ...] | None]:
    """Integers as they are; words numbered in alphabetical order."""
    values = [chunk[number].values for chunk in table.chunks()]
    if all(chunk.dtype.kind == "f" for chunk in values):
        return np.concatenate(values).astype(np.int64), None
    names, labels = np.unique(np.concatenate([chunk.astype(str) for chunk in values]), return_inverse=True)
    return labels.astype(np.int64), tuple(map(str, names))


def table_source(table: Table) -> Source:
    """The numeric columns as vectors; a test part is split off.

    A column called `label`, `labels` or `class`, of integers or words, gives the labels; one that numbers the rows is
    left out.

    Args:
        table: Read twice or more.

    Returns:
        The source; its words say which columns are no features, which are constant, and how far apart deviations are.

    Raises:
        InputError: There are no rows or no numbers, a value is missing, or a column is neither numbers nor labels.
    """
    columns = _summaries(table)
    if not columns or not columns[0].rows:
        raise InputError(f"{table.where} has no rows; one example a row is needed")
    _refuse_unfit(table, columns)
    label = next((number for number, column in enumerate(columns) if column.label), None)
    kept = [number for number, column in enumerate(columns) if number != label and not column.counter]
    if not kept:
        raise InputError(f"{table.where} has no column of numbers besides labels and row numbers; check the file")

    _refuse_rounded(table, [columns[number] for number in kept])

    def chunks() -> Iterator[NDArray[Any]]:
        first = 0
        for chunk in table.chunks():
            yield to_float32(np.stack([chunk[number].values for number in kept], axis=1), first, table.where)
            first += len(chunk[0].values)

    labels, classes = (None, None) if label is None else _labels(table, label)
    train, test = split_off_test(Part(columns[0].rows, chunks, labels))
    counters = [column.name for column in columns if column.counter and not column.label]
    note = "; a tenth split off as the test part" + ("" if label is None else f"; labels from {columns[label].name}")
    note += f"; row numbers left out: {listed(counters)}" if counters else ""
    note += _said_of_scales([columns[number] for number in kept])
    return Source("vector", (len(kept),), train, test, f"{table.title}, {len(kept)} columns{note}", classes)
