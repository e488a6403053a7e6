"""The two callables and the data, brought together: who gets which part of a batch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from lambda_vae.adapters.batches import ForeignBatches
from lambda_vae.adapters.conditions import Asked, asked
from lambda_vae.adapters.modes import evaluated
from lambda_vae.diagnostics.examples import Examples
from lambda_vae.errors import InputError

__all__ = ["Host", "with_conditions"]


@dataclass(frozen=True, eq=False)
class Host:
    """What is measured.

    Args:
        encode: x -> (mu, logvar), or with the conditions of a batch behind x.
        log_likelihood: (x, z) -> log p(x|z), or with the conditions behind z.
        batches: Of x alone, or of `Examples`.
        notes: What a reader must know of what was left out.
    """

    encode: Callable[..., Any]
    log_likelihood: Callable[..., Any]
    batches: ForeignBatches
    notes: tuple[str, ...] = ()


def with_conditions(encode: Callable[..., Any], log_likelihood: Callable[..., Any], batches: ForeignBatches) -> Host:
    """Return the callables and batches as the estimators need them; unchanged where nothing but x is wanted.

    Args:
        encode: The user's.
        log_likelihood: The user's.
        batches: Of the user's data, x alone.

    Raises:
        InputError: A callable wants more than a batch holds.
    """
    beside = batches.first_conditions()
    pair = [
        asked("encode", encode, ("x",), beside),
        asked("log_likelihood", log_likelihood, ("x", "z"), beside),
    ]
    with torch.no_grad(), torch.random.fork_rng(), evaluated(encode, log_likelihood):
        if beside and any(one.gathers for one in pair):
            pair = _tried(pair, batches, beside)
    notes = tuple(
        f"{what}'s optional {one.left_out!r} was not given what batches hold besides x; if it should be, give them as "
        f"{{'x': x, {one.left_out!r}: ...}}."
        for what, one in zip(("encode", "log_likelihood"), pair, strict=True)
        if one.left_out is not None
    )
    if not any(one.keys for one in pair):
        return Host(encode, log_likelihood, batches, notes)
    return Host(pair[0], pair[1], batches.with_conditions(key for one in pair for key in one.keys), notes)


def _tried(pair: list[Asked], batches: ForeignBatches, beside: Any) -> list[Asked]:  # noqa: ANN401 - tuple or dict
    """Callables whose signature says nothing are given the conditions where they fail without, and not with them."""
    encode, log_likelihood = pair
    x = next(iter(batches))
    assert not isinstance(x, Examples)
    if encode.gathers and not _runs(encode.function, x) and _works(encode.with_all(beside), batches):
        encode = encode.with_all(beside)
    if log_likelihood.gathers:
        wider = log_likelihood.with_all(beside)
        code = _code(encode, batches)
        if code is not None and not _runs(log_likelihood.function, x, code) and _works(wider, batches, code):
            log_likelihood = wider
    return [encode, log_likelihood]


def _code(encode: Asked, batches: ForeignBatches) -> Any:  # noqa: ANN401 - what the user's encode gives, if anything
    first = next(iter(batches.with_conditions(encode.keys)))
    try:
        answer = encode(first.x, first.conditions) if isinstance(first, Examples) else encode.function(first)
    except Exception:  # it is the first look that tells
        return None
    return answer.mean if isinstance(answer, Distribution) else answer[0] if isinstance(answer, tuple | list) else None


def _works(function: Asked, batches: ForeignBatches, *code: Tensor) -> bool:
    first = next(iter(batches.with_conditions(function.keys)))
    assert isinstance(first, Examples)
    return _runs(function, first.x, *code, first.conditions)


def _runs(function: Callable[..., Any], *given: object) -> bool:
    try:
        function(*given)
    except InputError:  # it says itself what is wrong
        return True
    except Exception:
        return False
    return True
