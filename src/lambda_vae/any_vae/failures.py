"""What a user's callable fails of, where that can be told: one sentence in the place of torch's."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from lambda_vae.any_vae.batches import ExternalBatches
from lambda_vae.any_vae.modes import evaluated
from lambda_vae.errors import InputError

__all__ = ["explained", "runs"]


@contextmanager
def explained(encode: Callable[..., Any], batches: ExternalBatches) -> Iterator[None]:
    """Say what to change where a callable of the user's raises for want of a condition, or of the whole data.

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


def _cause(error: Exception, encode: Callable[..., Any], batches: ExternalBatches) -> str | None:
    if isinstance(error, TypeError) and "missing" in str(error) and "required positional argument" in str(error):
        return (
            f"{error}; what a batch holds besides x is handed to callables that take it: "
            "`lambda x, y: ...` for encode, `lambda x, z, y: ...` for log_likelihood, and batches of (x, y)"
        )
    first = next(iter((batches.first() or ())[:1]), None)
    if first is not None and not _works(encode, first):
        what = f"encode fails for x of shape {list(first.shape)} ({str(error).splitlines()[0]})"
        for call, x in _reshaped(first).items():
            if _works(encode, x):
                return f"{what}, and not for {call}; reshape it within the callables: `lambda x: encode({call})`"
    entire = batches.entire()
    if entire is None or not _works(encode, entire):
        return None
    return (
        f"encode fails for the first {batches.batch_size} examples ({str(error).splitlines()[0]}), and not for all "
        f"{len(entire)} at once; if it needs them so, as the nodes of one graph, give [data] or "
        f"batch_size={len(entire)}"
    )


def runs(function: Callable[..., Any], *given: object) -> bool:
    """Return whether a callable answers, or says itself what is wrong."""
    try:
        function(*given)
    except InputError:
        return True
    except Exception:
        return False
    return True


def _works(encode: Callable[..., Any], x: Tensor) -> bool:
    try:
        with torch.no_grad(), torch.random.fork_rng(), evaluated(encode):
            encode(x)
    except Exception:
        return False
    return True


def _reshaped(x: Tensor) -> dict[str, Tensor]:
    """What x may have to be for a network of rows, or of images."""
    if x.dim() > 2:
        flat = {"x.flatten(1)": x.flatten(1)}
        return flat | {"x.unsqueeze(1)": x.unsqueeze(1)} if x.dim() == 3 else flat
    side = math.isqrt(x[0].numel())
    square = x.dim() == 2 and side > 1 and side**2 == x.shape[1]
    return {f"x.view(-1, 1, {side}, {side})": x.view(-1, 1, side, side)} if square else {}
