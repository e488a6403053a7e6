"""The two callables and the data, brought together: who gets which part of a batch, and in which precision."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from lambda_vae.any_vae.batches import ExternalBatches
from lambda_vae.any_vae.behind import dtype_of
from lambda_vae.any_vae.conditions import Asked, asked
from lambda_vae.any_vae.extras import Extras
from lambda_vae.any_vae.failures import runs
from lambda_vae.any_vae.modes import evaluated
from lambda_vae.any_vae.precision import Cast, Precision, precisions
from lambda_vae.errors import InputError
from lambda_vae.estimation.examples import Examples

__all__ = ["Host", "brought_together"]


@dataclass(frozen=True, eq=False)
class Host:
    """What is measured.

    Args:
        encode: x -> (mu, logvar), or with the conditions of a batch behind x.
        log_likelihood: (x, z) -> log p(x|z), or with the conditions behind z.
        batches: Of x alone, or of `Examples`.
        notes: What a reader must know of what was left out.
        prior: x -> p(z), or with the conditions behind x; None where it is the same for all.
    """

    encode: Callable[..., Any]
    log_likelihood: Callable[..., Any]
    batches: ExternalBatches
    notes: tuple[str, ...] = ()
    prior: Callable[..., Any] | None = None

    def in_precision(self, one: Precision) -> "Host":
        """Return it with x and z in another precision."""
        encode = self.encode if one.encode is None else Cast(self.encode, (one.encode,))
        likelihood = self.log_likelihood if one.z is None else Cast(self.log_likelihood, (None, one.z))
        return Host(encode, likelihood, replace(self.batches, dtype=one.x), self.notes, self.prior)

    def runs(self) -> bool:
        """Return whether both callables answer the first batch."""
        code = self.code()
        return code is not None and runs(self.log_likelihood, *_arguments(self.batches, code))

    def code(self) -> Tensor | None:
        """Return the mean or location of the first batch's codes, if `encode` answers."""
        try:
            answer = self.encode(*_arguments(self.batches))
        except Exception:  # it is the first look that tells
            return None
        first = answer.mean if isinstance(answer, Distribution) else answer
        first = first[0] if isinstance(first, tuple | list) and first else first
        return first if isinstance(first, Tensor) else None


def brought_together(
    encode: Callable[..., Any],
    log_likelihood: Callable[..., Any],
    batches: ExternalBatches,
    prior: Callable[..., Any] | None = None,
) -> Host:
    """Return the callables and batches as the estimators need them; unchanged where nothing but x is wanted.

    What a signature or the modules' precision leaves open is tried on the first batch, in eval mode.

    Raises:
        InputError: A callable wants more than a batch holds, or there is no batch.
    """
    with torch.no_grad(), torch.random.fork_rng(), evaluated(encode, log_likelihood):
        first = batches.first()
        if first is None:
            raise InputError(
                "data gave no batch; if it is an iterator that was used before, give the DataLoader itself"
            )
        x, extras = first
        kinds = precisions(x, dtype_of(encode), dtype_of(log_likelihood))
        law = None if prior is None else asked("prior", prior, ("x",), extras)
        hosts = [
            _host(one, other, batches, law)
            for one in _readings("encode", encode, ("x",), extras)
            for other in _readings("log_likelihood", log_likelihood, ("x", "z"), extras)
        ]
        candidates = [host.in_precision(kind) for kind in kinds for host in hosts]
        if len(candidates) == 1:
            return candidates[0]
        return next((one for one in candidates if one.runs()), candidates[0])


def _readings(what: str, function: Callable[..., Any], before: tuple[str, ...], extras: Extras) -> list[Asked]:
    own = asked(what, function, before, extras)
    return [own, own.with_all(extras)] if own.gathers and extras else [own]


def _host(encode: Asked, log_likelihood: Asked, batches: ExternalBatches, prior: Asked | None) -> Host:
    notes = tuple(
        f"{what}'s optional {one.left_out!r} was not given what batches hold besides x; if it should be, give them as "
        f"{{'x': x, {one.left_out!r}: ...}}."
        for what, one in (("encode", encode), ("log_likelihood", log_likelihood))
        if one.left_out is not None
    )
    keys = (*encode.keys, *log_likelihood.keys, *(() if prior is None else prior.keys))
    if not keys:
        return Host(encode.function, log_likelihood.function, batches, notes, prior and prior.function)
    return Host(encode, log_likelihood, batches.with_conditions(keys), notes, prior)


def _arguments(batches: ExternalBatches, *code: Tensor) -> tuple[object, ...]:
    first = next(iter(batches))
    return (first.x, *code, first.conditions) if isinstance(first, Examples) else (first, *code)
