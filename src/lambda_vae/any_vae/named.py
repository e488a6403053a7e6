"""Named sets and own files as batches for a model that was not trained here."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lambda_vae.data import Dataset, check_no_sequences, load

__all__ = ["NamedBatches", "named_batches"]


@dataclass(frozen=True, eq=False)
class NamedBatches:
    """The test part of a data set, as often as it is asked for."""

    dataset: Dataset
    batch_size: int = 500

    def __iter__(self) -> Iterator[Tensor | tuple[Tensor, Tensor]]:
        rows, shape, labels = self.dataset.test.tensor(), self.dataset.shape, self.dataset.test.labels()
        channels = shape if len(shape) != 3 else (shape[2], *shape[:2])
        for index in torch.split(self.dataset.test.index(), self.batch_size):
            x = rows.index_select(0, index).float().view(-1, *shape)
            x = x.movedim(-1, 1) if len(shape) == 3 else x.view(-1, *((1, *channels) if len(shape) == 2 else channels))
            x = x / 255.0 if self.dataset.kind == "image" else x
            yield x if labels is None else (x, labels[index])


def named_batches(name_or_path: str | Path) -> NamedBatches:
    """Return the test part of a data set: images [B, C, H, W] in [0, 1], vectors [B, F] as they are.

    Where it has labels, a batch is (x, label), and a conditional model gets them.

    Raises:
        InputError: As for `load`, or the data are sequences.
    """
    dataset = load(name_or_path)
    check_no_sequences(dataset, "a diagnosis by a data set's name")
    return NamedBatches(dataset)
