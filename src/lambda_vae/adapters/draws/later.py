"""A distribution that a host returned and draws from later: its own draw is narrowed, its type and numbers stay."""

from collections.abc import Callable
from typing import Any

__all__ = ["hold"]

#: (host, args, named) -> what the host's draw returns, narrowed.
Drawn = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


def hold(posterior: Any, drawn: Drawn) -> None:  # noqa: ANN401 - a distribution, of whatever library
    """Have a distribution's draws made by somebody else.

    Args:
        posterior: Has `rsample`, `sample`, or both.
        drawn: Makes them of the distribution's own.
    """
    for name in ("rsample", "sample"):
        if callable(getattr(posterior, name, None)):
            setattr(posterior, name, _Later(drawn, posterior, name))


class _Later:
    """A draw from a distribution that the host returned, under a site."""

    drawing = False

    def __init__(self, drawn: Drawn, posterior: Any, name: str) -> None:  # noqa: ANN401 - of whatever library
        self.drawn, self.posterior, self.host = drawn, posterior, getattr(posterior, name)

    def __call__(self, *args: Any, **named: Any) -> Any:  # noqa: ANN401 - the host's own
        if _Later.drawing:  # `sample` may be made of `rsample`
            return self.host(*args, **named)
        _Later.drawing = True
        try:
            return self.drawn(self._draw, (self.posterior, *args), named)
        finally:
            _Later.drawing = False

    def _draw(self, posterior: object, *args: Any, **named: Any) -> Any:  # noqa: ANN401 - the host's own
        return self.host(*args, **named)
