"""Anybody's data: a tensor, or any iterable of batches, gone through as often as needed and never held."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from lambda_vae.errors import InputError

__all__ = ["ForeignBatches"]


class ForeignBatches:
    """The x of each batch, on the model's device, in the type and shape that the data give it.

    Args:
        data: A tensor or array [N, ...]; or batches that can be gone through again, each an x [B, ...] or a tuple whose
            first item is x, such as a DataLoader or a list.
        batch_size: For a tensor.
        device: Where the model is.

    Raises:
        InputError: The data can be gone through only once, or are no such thing.
    """

    def __init__(self, data: object, batch_size: int, device: torch.device) -> None:
        if isinstance(data, Iterator):
            raise InputError(
                f"data is a {type(data).__name__}, which can be gone through only once and may be used up; give the "
                "DataLoader itself, a tensor, or list(...) of the batches"
            )
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; it must be at least 1")
        if not isinstance(data, Iterable):
            raise InputError(f"data is a {type(data).__name__}; give a tensor, a DataLoader or a list of batches")
        self.data = torch.as_tensor(data) if isinstance(data, np.ndarray) else data
        self.batch_size, self.device = batch_size, device

    def __iter__(self) -> Iterator[Tensor]:
        whole = isinstance(self.data, Tensor)
        parts: Iterable[object] = torch.split(self.data, self.batch_size) if whole else self.data  # type: ignore[arg-type]
        for part in parts:
            x = part[0] if isinstance(part, tuple | list) and part else part
            x = torch.as_tensor(x) if isinstance(x, np.ndarray) else x
            if not isinstance(x, Tensor) or x.dim() == 0:
                raise InputError(
                    f"a batch is a {type(part).__name__}; give tensors, or tuples whose first item is x: "
                    "[batch['x'] for batch in data] picks it"
                )
            if len(x):
                yield x.to(self.device)
