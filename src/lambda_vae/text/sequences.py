"""Sequences of different lengths, one behind the other, of which batches are cut."""

from dataclasses import dataclass

import torch
from jaxtyping import Int64, Integer
from torch import Tensor

from lambda_vae.text.base import PADDING

__all__ = ["Sequences", "sequence_lengths"]


def sequence_lengths(x: Integer[Tensor, "*B L"]) -> Int64[Tensor, "*B"]:
    """The number of tokens of each sequence of a batch, its end counted and padding not.

    Args:
        x: Ids, padded on the right.

    Example:
        >>> sequence_lengths(torch.tensor([[5, 4, 1, 0], [1, 0, 0, 0]]))
        tensor([3, 1])
    """
    return (x != PADDING).sum(-1)


@dataclass(frozen=True, eq=False)
class Sequences:
    """The stored sequences of a data set, in the place that a tensor [N, F] has for other data.

    Nothing is read until sequences are taken out.

    Args:
        tokens: The ids of all sequences, each with its end, without padding: uint8, int16 or int32 [T].
        offsets: Where each begins, and where the last one ends: int64 [N + 1].

    Example:
        >>> x = Sequences(torch.tensor([5, 3, 1, 4, 1], dtype=torch.uint8), torch.tensor([0, 3, 5]))
        >>> x.index_select(0, torch.tensor([1, 0])).tolist(), x[torch.tensor([1])].tolist()
        ([[4, 1, 0], [5, 3, 1]], [[4, 1]])
    """

    tokens: Integer[Tensor, " T"]
    offsets: Int64[Tensor, " ends"]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64[Tensor, " N"]:
        """Tokens of each sequence, its end counted."""
        return self.offsets.diff()

    @property
    def nbytes(self) -> int:
        """Bytes of memory that all of it takes."""
        return self.tokens.nbytes + self.offsets.nbytes

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return self.tokens.device

    def to(self, device: torch.device | str) -> "Sequences":
        """Return it on a device.

        Args:
            device: Which.
        """
        return Sequences(self.tokens.to(device), self.offsets.to(device))

    def index_select(self, dim: int, index: Int64[Tensor, " B"]) -> Int64[Tensor, "B L"]:
        """Return some sequences, padded with 0 at the end to the longest of them.

        Args:
            dim: 0, as for a tensor.
            index: Which, on the same device.
        """
        assert dim == 0, "sequences are taken out by their numbers"
        start = self.offsets[index]
        length = self.offsets[index + 1] - start
        column = torch.arange(int(length.max()) if len(index) else 0, device=self.device)
        inside = column < length[:, None]
        place = torch.where(inside, start[:, None] + column, 0)
        return torch.where(inside, self.tokens[place].long(), 0)

    def __getitem__(self, index: Int64[Tensor, " B"]) -> Int64[Tensor, "B L"]:
        """Return some sequences, as `index_select`."""
        return self.index_select(0, index)
