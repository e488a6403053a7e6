"""A loaded data set: two memory-mapped parts and the facts about them."""

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from lambda_vae.text.vocabulary import Vocabulary

if TYPE_CHECKING:  # who lists data sets does not wait for torch
    from jaxtyping import Int64, Shaped
    from torch import Tensor

    from lambda_vae.text.sequences import Sequences

__all__ = ["Dataset", "Kind", "MeasuredOn", "Split"]

Kind = Literal["image", "vector", "sequence"]
MeasuredOn = Literal["test", "validation"]


def _as_tensor(array: NDArray[Any]) -> "Tensor":
    """A tensor over the same memory; a read-only map needs torch's warning silenced, and only that one."""
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)
        return torch.from_numpy(np.asarray(array))


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a data set.

    Attributes:
        x: Memory-mapped rows [N, F]: uint8 for images (flattened, row-major), float32 for vectors. Of sequences the ids
            of all tokens, one behind the other, [T].
        y: Labels int64 [N], or None.
        rows: Which of the N rows belong to this part, int64 [n], where others share the memory map; all if None.
        offsets: Of sequences: where in `x` each begins, and where the last one ends, int64 [N + 1].
    """

    x: NDArray[Any]
    y: NDArray[np.int64] | None
    rows: NDArray[np.int64] | None = None
    offsets: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        if self.rows is not None:
            return len(self.rows)
        return len(self.x) if self.offsets is None else len(self.offsets) - 1

    def index(self) -> "Int64[Tensor, ' n']":
        """The indices of this part's examples among the stored rows, n of N."""
        import torch

        return torch.arange(len(self)) if self.rows is None else torch.from_numpy(self.rows)

    def tensor(self) -> "Shaped[Tensor, 'N F'] | Sequences":
        """All stored rows as a tensor over the memory map; nothing is read until it is indexed (by `index`).

        Returns:
            uint8 or float32 [N, F], or the sequences, of which an index takes ids [B, L]. Do not write to it.
        """
        if self.offsets is None:
            return _as_tensor(self.x)
        from lambda_vae.text.sequences import Sequences

        return Sequences(_as_tensor(self.x), _as_tensor(self.offsets))

    def labels(self) -> "Shaped[Tensor, ' N'] | None":
        """The labels of all stored rows as a tensor over the memory map, or None."""
        return None if self.y is None else _as_tensor(self.y)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A prepared data set.

    Attributes:
        name: Its name in the table of named sets, or the stem of the user's file.
        kind: "image" (uint8), "vector" (float32) or "sequence" (ids of tokens).
        shape: Shape of one example: (H, W), (H, W, 3) or (F,); of sequences the length of the longest, with its end.
        train: The training part.
        test: The test part, or what is measured in its place.
        sha256: Of the prepared content: the same wherever the raw files lay and however they were compressed.
        source: Where it came from and what was done to it, in words.
        classes: Names of the labels 0, 1, ..., where they have names.
        measured_on: What `test` is: the test set, or a validation split of the training data.
        vocabulary: The tokens of sequences; None for other data.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    train: Split
    test: Split
    sha256: str
    source: str
    classes: tuple[str, ...] | None
    measured_on: MeasuredOn = "test"
    vocabulary: Vocabulary | None = None

    @property
    def features(self) -> int:
        """Numbers in one example, F; of sequences the tokens of the longest."""
        return math.prod(self.shape)
