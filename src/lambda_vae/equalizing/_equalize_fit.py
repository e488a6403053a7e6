"""Switch lambda on in a package that makes its network, and iterates over its batches, within its own `fit`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from torch import nn

from lambda_vae.equalizing._equalize import HostEqualizer
from lambda_vae.equalizing._equalize_class import equalize_class
from lambda_vae.errors import InputError

__all__ = ["equalize_fit"]


@contextmanager
def equalize_fit(
    host: object,
    steps_per_epoch: Callable[..., int],
    kind: type[nn.Module],
    latent_dim: int,
    delta: float,
    *,
    fit: str = "fit",
    **settings: Any,
) -> Iterator[HostEqualizer]:
    """Equalize as `equalize_class` does, with the batches in an epoch computed from the arguments of `fit`.

    Args:
        host: The object whose `fit` makes the network and trains it, or a class for any object of it.
        steps_per_epoch: The arguments of `fit` -> its batches in one epoch; of a class, the object first.
        kind: As for `equalize_class`.
        latent_dim: D.
        delta: The trade-off, > 1; inf is the training as it was, bit for bit.
        fit: The method's name.
        settings: Of `equalize_class`, such as posterior, total_epochs and release_epochs.

    Raises:
        InputError: `fit` was not called within the block, or twice, or another host's was; or as `equalize_class`.
    """
    own, given = vars(host).get(fit), getattr(host, fit)
    name = host.__name__ if isinstance(host, type) else type(host).__name__
    fitted = False
    with equalize_class(kind, latent_dim, delta, **settings) as equalizer:

        @wraps(given)
        def counting(*args: Any, **named: Any) -> Any:
            nonlocal fitted
            if fitted or equalizer.sites:  # lambda is planned for one training, and has one network's sigma
                raise InputError(
                    f"{'this' if fitted else 'another'} {name} was fitted within this block before, and lambda is "
                    "planned for one training; give each `fit` a block of its own"
                )
            fitted = True
            equalizer.steps_per_epoch = steps_per_epoch(*args, **named)
            return given(*args, **named)

        setattr(host, fit, counting)
        try:
            yield equalizer
        finally:
            delattr(host, fit) if own is None else setattr(host, fit, own)
        if not fitted:
            others = "another was" if equalizer.sites else "nothing was"
            raise InputError(f"this {name} was not fitted within its block, {others}; call its `{fit}` in the block")
