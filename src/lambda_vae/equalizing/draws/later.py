"""A distribution that a host returned and draws from later: its own draw is narrowed, its type and numbers stay."""

import threading
from collections.abc import Callable
from typing import Any, ClassVar

import torch

from lambda_vae.equalizing.draws.tensors import Call

__all__ = ["hold"]

#: (host, call) -> what the host's draw returns, narrowed.
Drawn = Callable[[Callable[..., Any], Call], Any]


def hold(posterior: Any, drawn: Drawn) -> None:
    """Have a distribution's draws made by somebody else."""
    for name in ("rsample", "sample"):
        if callable(getattr(posterior, name, None)):
            setattr(posterior, name, _Later(drawn, posterior, name))


class _Later:
    """A draw from a distribution that the host returned, under a site."""

    drawing: ClassVar[set[int]] = set()  # the threads that draw now

    def __init__(self, drawn: Drawn, posterior: Any, name: str) -> None:
        self.drawn, self.posterior, self.host = drawn, posterior, getattr(posterior, name)

    def __call__(self, *args: Any, **named: Any) -> Any:
        thread = 0 if torch.compiler.is_compiling() else threading.get_ident()
        if thread in _Later.drawing:  # `sample` may be made of `rsample`
            return self.host(*args, **named)
        _Later.drawing.add(thread)
        try:
            return self.drawn(self._draw, Call((self.posterior, *args), named))
        finally:
            _Later.drawing.discard(thread)

    def _draw(self, posterior: object, *args: Any, **named: Any) -> Any:
        return self.host(*args, **named)
