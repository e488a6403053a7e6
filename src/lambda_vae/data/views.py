"""Data as the model sees it when it is measured."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Shaped
from torch import Tensor

from lambda_vae.data.order import by_length
from lambda_vae.text.sequences import Sequences

__all__ = ["FixedView"]


@dataclass(frozen=True)
class FixedView:
    """One part of the data as the model sees it when measured: drawn once with a fixed seed and never held whole.

    Args:
        x: Stored rows, [N, F]; may be a memory map. Or sequences.
        index: Which rows, [n].
        view: (rows, index) -> float [B, F], or ids [B, L].
        batch_size: Rows a batch.
    """

    x: Tensor | Sequences
    index: Tensor
    view: Callable[[Tensor, Tensor], Tensor]
    batch_size: int = 500

    def __iter__(self) -> Iterator[Shaped[Tensor, "B F"]]:
        """Yield the batches, the same ones every time; of sequences each holds some of about one length."""
        batches = torch.split(self.index, self.batch_size)
        if isinstance(self.x, Sequences):
            batches = by_length(self.index, self.x.lengths[self.index], self.batch_size)
        for rows in batches:
            yield self.view(self.x.index_select(0, rows), rows)

    def head(self, n: int) -> Shaped[Tensor, "n F"]:
        """Return the first n rows.

        Args:
            n: How many, or fewer where there are fewer.
        """
        return self.view(self.x.index_select(0, self.index[:n]), self.index[:n])
