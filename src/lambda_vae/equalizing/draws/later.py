"""Distributions that a host returns and draws z from later: the draw is narrowed, type and parameters are kept."""

import threading
from collections.abc import Callable
from typing import Any, ClassVar

import torch

from lambda_vae.equalizing.draws.tensors import Call

__all__ = ["hold"]

#: (host, call) -> what the host's draw returns, narrowed.
Drawn = Callable[[Callable[..., Any], Call], Any]


def hold(posterior: Any, drawn: Drawn) -> None:
    """Replace a distribution's `rsample` and `sample` by calls of `drawn`."""
    for name in ("rsample", "sample"):
        if callable(getattr(posterior, name, None)):
            setattr(posterior, name, _Later(drawn, posterior, name))


class _Later:
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
