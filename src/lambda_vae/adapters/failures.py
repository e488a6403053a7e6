"""What a user's callable fails of, where that can be told: one sentence in the place of torch's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from lambda_vae.adapters.batches import ForeignBatches
from lambda_vae.adapters.modes import evaluated
from lambda_vae.errors import InputError

__all__ = ["told"]


@contextmanager
def told(encode: Callable[..., Any], batches: ForeignBatches) -> Iterator[None]:
    """Say what to change where a callable of the user's raises for want of a condition, or of the whole data.

    Args:
        encode: The user's.
        batches: That it was asked of.

    Raises:
        InputError: In the place of what was raised, where the cause is known.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        sentence = _cause(error, encode, batches)
        if sentence is None:
            raise
        raise InputError(sentence) from error


def _cause(error: Exception, encode: Callable[..., Any], batches: ForeignBatches) -> str | None:
    if isinstance(error, TypeError) and "missing" in str(error) and "required positional argument" in str(error):
        return (
            f"{error}; what stands beside x in a batch is handed to callables that take it: "
            "`lambda x, y: ...` for encode, `lambda x, z, y: ...` for log_likelihood, and batches of (x, y)"
        )
    entire = batches.entire()
    if entire is None:
        return None
    try:
        with torch.no_grad(), torch.random.fork_rng(), evaluated(encode):
            encode(entire)
    except Exception:
        return None
    return (
        f"encode fails for the first {batches.batch_size} examples ({str(error).splitlines()[0]}), and not for all "
        f"{len(entire)} at once; if it needs them so, as the nodes of one graph, give [data] or "
        f"batch_size={len(entire)}"
    )
