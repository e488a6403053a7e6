"""The stream between a raw file and the prepared cache: every reader gives a `Source`, the cache takes one."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_vae.data.dataset import Kind
from lambda_vae.text.vocabulary import Vocabulary

__all__ = [
    "CHUNK_BYTES",
    "PART_WORDS",
    "SPLIT_SEED",
    "Part",
    "Source",
    "listed",
    "part_named",
    "rows_per_chunk",
    "split_off_test",
]

PART_WORDS = {
    **dict.fromkeys(("train", "training", "trn", "trainset", "trainingset"), "train"),
    **dict.fromkeys(
        ("val", "valid", "validation", "dev", "eval", "evaluation", "holdout", "heldout", "valset", "validset"),
        "validation",
    ),
    **dict.fromkeys(("test", "testing", "tst", "testset"), "test"),
}
"""What a folder or an array is called, in lower case, that is one part of the data, and which part that is."""

#: Words next to the part's own that change nothing: test_images, training_set, val2017, trainA.
_BESIDE = frozenset({"set", "data", "split", "part", "image", "images", "img", "imgs", *"ab"})

#: How many names of what was left out a note lists.
_NAMED = 5

CHUNK_BYTES = 8 << 20
"""About how much of a raw file is held in memory at once."""

SPLIT_SEED = 0
"""Seed of the split of files that bring no test part."""


@dataclass(frozen=True, eq=False)
class Part:
    """A train or test part that can be read any number of times.

    Attributes:
        count: How many rows `chunks` gives in all.
        chunks: Starts a fresh pass; gives arrays [n, ...] of uint8 or float32, row by row in order.
            Of sequences the ids of whole ones, one behind the other.
        labels: int64 [count], or None.
        offsets: Of sequences: where each begins and where the last one ends, int64 [count + 1].
    """

    count: int
    chunks: Callable[[], Iterator[NDArray[Any]]]
    labels: NDArray[np.int64] | None
    offsets: NDArray[np.int64] | None = None

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Of each sequence, its end counted."""
        assert self.offsets is not None, "of sequences alone"
        return np.diff(self.offsets)

    @classmethod
    def of(cls, rows: NDArray[Any], labels: NDArray[np.int64] | None) -> "Part":
        """Return rows that are held in memory as a part."""
        return cls(len(rows), lambda: iter([rows]), labels)


@dataclass(frozen=True, eq=False)
class Source:
    """A data set before it is prepared; the attributes are those of `Dataset`."""

    kind: Kind
    shape: tuple[int, ...]
    train: Part
    test: Part
    source: str
    classes: tuple[str, ...] | None = None
    vocabulary: Vocabulary | None = None


def rows_per_chunk(row_bytes: int) -> int:
    """How many rows of `row_bytes` make one chunk, at least one."""
    return max(1, CHUNK_BYTES // max(1, row_bytes))


def part_named(name: str) -> str | None:
    """Which part a folder of that name holds: "train", "validation" or "test"; None if it is no part's name.

    Example:
        >>> part_named("Training_set"), part_named("val2017"), part_named("trains")
        ('train', 'validation', None)
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    words = [word for word in re.findall(r"[^\W\d_]+", spaced) if word not in _BESIDE]
    return PART_WORDS.get(words[0]) if len(words) == 1 else None


def listed(names: Sequence[str], most: int = _NAMED) -> str:
    """The names, separated by commas; those beyond `most` are counted.

    Example:
        >>> listed(["a", "b", "c"], 2)
        'a, b and 1 more'
    """
    more = "" if len(names) <= most else f" and {len(names) - most} more"
    return ", ".join(names[:most]) + more


def _filtered(part: Part, keep: NDArray[np.bool_]) -> Part:
    def chunks() -> Iterator[NDArray[Any]]:
        start = 0
        for chunk in part.chunks():
            yield chunk[keep[start : start + len(chunk)]]
            start += len(chunk)

    return Part(int(keep.sum()), chunks, None if part.labels is None else part.labels[keep])


def split_off_test(part: Part) -> tuple[Part, Part]:
    """A train and a test part of data that came as one: a tenth of the rows, at least one, drawn with `SPLIT_SEED`.

    Returns:
        Train and test; both keep the order of the rows. Each is a pass over all of `part`.
    """
    keep = np.ones(part.count, dtype=np.bool_)
    tenth = max(1, part.count // 10)
    # RandomState, not default_rng: numpy promises never to change its stream.
    keep[np.random.RandomState(SPLIT_SEED).permutation(part.count)[:tenth]] = False
    return _filtered(part, keep), _filtered(part, ~keep)
