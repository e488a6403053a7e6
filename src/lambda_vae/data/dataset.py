"""What every data set is, once loaded: two memory-mapped parts and the facts about them."""

import math
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Shaped
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Dataset", "Kind", "Split"]

Kind = Literal["image", "vector"]


def _as_tensor(array: NDArray[Any]) -> Tensor:
    """A tensor over the same memory; a read-only map needs torch's warning silenced, and only that one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)
        return torch.from_numpy(np.asarray(array))


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a data set.

    Attributes:
        x: Memory-mapped rows [N, F]: uint8 for images (flattened, row-major), float32 for vectors.
        y: Labels int64 [N], or None.
    """

    x: NDArray[Any]
    y: NDArray[np.int64] | None

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def tensor(self) -> Shaped[Tensor, "N F"]:
        """The rows as a tensor over the memory map; nothing is read until it is indexed.

        Returns:
            uint8 or float32 [N, F]. Do not write to it.
        """
        return _as_tensor(self.x)

    def labels(self) -> Shaped[Tensor, " N"] | None:
        """The labels as a tensor over the memory map, or None."""
        return None if self.y is None else _as_tensor(self.y)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A prepared data set.

    Attributes:
        name: Its name in the table of named sets, or the stem of the user's file.
        kind: "image" (uint8) or "vector" (float32).
        shape: Shape of one example: (H, W), (H, W, 3) or (F,).
        train: The training part.
        test: The test part.
        sha256: Of the prepared content: the same wherever the raw files lay and however they were compressed.
        source: Where it came from and what was done to it, in words.
        classes: Names of the labels 0, 1, ..., where they have names.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    train: Split
    test: Split
    sha256: str
    source: str
    classes: tuple[str, ...] | None

    @property
    def features(self) -> int:
        """Numbers in one example, F."""
        return math.prod(self.shape)
