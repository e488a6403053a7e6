"""Advice for a run whose device has too little memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lambda_vae.errors import InputError
from lambda_vae.training.options import TrainOptions

__all__ = ["advise_on_memory"]

#: How torch's allocator of main memory says it; those of accelerators have an exception of their own.
_MAIN_MEMORY = ("can't allocate memory", "not enough memory")


@contextmanager
def advise_on_memory(options: TrainOptions, device: torch.device) -> Iterator[None]:
    """Turn an out-of-memory error into one sentence with what to try next.

    Args:
        options: Of the run.
        device: Where it trains.

    Raises:
        InputError: The memory of the device does not suffice.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        exhausted = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not exhausted and not any(words in str(error) for words in _MAIN_MEMORY):
            raise
        raise InputError(
            f"the memory of {device} does not suffice for {options.batch_size // options.accumulate} examples at a "
            f"time; try {', or '.join(_remedies(options))}"
        ) from None


def _remedies(options: TrainOptions) -> list[str]:
    finer = range(options.accumulate + 1, options.batch_size + 1)
    parts = next((count for count in finer if options.batch_size % count == 0), None)
    return [
        *([f"`accumulate={parts}` (the same step in smaller parts)"] if parts else []),
        *([] if options.recompute else ["`recompute=True` (networks for images)"]),
        f"`batch_size={max(1, options.batch_size // 2)}`",
    ]
