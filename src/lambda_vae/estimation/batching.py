"""Going through a test set without leaving traces in the model."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lambda_vae.errors import InputError
from lambda_vae.model import VAE

__all__ = ["ROWS_PER_PASS", "Batches", "Data", "draws_per_pass", "eval_mode", "noise_dtype"]

#: Rows that go through the decoder at once: large enough for full speed, small enough that its output stays in the
#: cache.
ROWS_PER_PASS = 1000

#: Numbers of x that go through the decoder at once, at the most: networks for large images need room in proportion.
_NUMBERS_PER_PASS = 1000 * 784

#: A tensor [N, F], or batches [B, F] that can be gone through more than once.
Data = Tensor | Iterable[Tensor]


def draws_per_pass(x: Tensor) -> int:
    """Return how many draws of z for each of these examples go through the decoder at once."""
    return max(1, min(ROWS_PER_PASS, _NUMBERS_PER_PASS // x[0].numel()) // len(x))


def noise_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype of the noise of z for these examples: that of x, or float32 where x are tokens."""
    return x.dtype if x.is_floating_point() else torch.float32


class Batches:
    """Batches of floats, or of tokens, on the model's device, as often as they are asked for.

    Args:
        data: A tensor, or batches.
        batch_size: For a tensor.
        vae: The model that the batches are for: its device, its precision.

    Raises:
        InputError: The data can be gone through only once, an example is not flat, or the batch size is below 1.
    """

    def __init__(self, data: Data, batch_size: int, vae: VAE) -> None:
        if isinstance(data, Iterator):
            raise InputError(
                "the data can be gone through only once; give a tensor, a list of batches or a re-iterable loader"
            )
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; it must be at least 1")
        self.data, self.batch_size = data, batch_size
        parameter = next(vae.parameters())
        numbers = torch.promote_types(parameter.dtype, torch.float32)
        tokens = getattr(vae.likelihood, "reads_tokens", False)
        self.device, self.dtype = parameter.device, torch.int64 if tokens else numbers

    def __iter__(self) -> Iterator[Tensor]:
        parts: Iterable[Tensor] = (
            torch.split(self.data, self.batch_size) if isinstance(self.data, Tensor) else self.data
        )
        for x in parts:
            if x.dim() != 2:
                raise InputError(f"a batch has shape {list(x.shape)}; flatten each example, [B, F]")
            if len(x):
                yield x.to(self.device, self.dtype)


@contextmanager
def eval_mode(*models: nn.Module) -> Iterator[None]:
    """Measure in eval mode, then put every module's mode back.

    Args:
        models: All that are called.
    """
    modes = [(module, module.training) for model in models for module in model.modules()]
    for model in models:
        model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
