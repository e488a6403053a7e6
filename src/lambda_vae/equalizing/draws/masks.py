"""Masks of the examples and positions that count."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from lambda_vae.errors import InputError

__all__ = ["ForwardArgument", "masked"]


class ForwardArgument:
    """A mask that is an argument of a model's forward, as of its last call; None where the call has none."""

    def __init__(self, model: nn.Module, name: str) -> None:
        self.name = name
        self.position = list(inspect.signature(model.forward).parameters).index(name)
        self.seen: Any = None
        self.handle = model.register_forward_pre_hook(self.see, with_kwargs=True, prepend=True)

    def see(self, model: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.seen = args[self.position] if self.position < len(args) else named.get(self.name)

    def __call__(self) -> Tensor | None:
        return None if self.seen is None else self.seen.bool()

    def remove(self) -> None:
        self.handle.remove()


def masked(model: nn.Module, mask: str | Callable[[], Tensor] | None) -> Callable[[], Tensor | None] | None:
    """Return a callable that gives the mask: a `ForwardArgument` for the name of an argument."""
    if not isinstance(mask, str):
        return mask
    names = list(inspect.signature(model.forward).parameters)
    if mask not in names:
        raise InputError(
            f"mask is {mask!r}; {type(model).__name__}.forward has the arguments {', '.join(names)}; give one of "
            "them, or a callable that gives the mask"
        )
    return ForwardArgument(model, mask)
