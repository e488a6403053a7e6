"""In which precision x and z are handed to models: float32 at least for what is measured, the model's own for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Cast", "Precision", "precisions"]

_HALF = (torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Precision:
    """Of x, and of what only one of the callables sees.

    Args:
        x: Of the data; None leaves it.
        encode: Of the x that `encode` is given; None is that of the data.
        z: Of the z that `log_likelihood` is given; None is that of `encode`'s answer.
    """

    x: torch.dtype | None = None
    encode: torch.dtype | None = None
    z: torch.dtype | None = None


@dataclass(frozen=True, eq=False)
class Cast:
    """A callable whose first arguments come in another precision, and conditions in that of the last of them.

    Args:
        function: Of the user's.
        dtypes: Of its first arguments; None leaves one.
    """

    function: Callable[..., Any]
    dtypes: tuple[torch.dtype | None, ...]

    def __call__(self, *given: Any) -> Any:  # noqa: ANN401 - the user's own
        """Return what the function answers."""
        first = [one.to(kind or one.dtype) for one, kind in zip(given, self.dtypes, strict=False)]
        return self.function(*first, *(_floats(one, self.dtypes[-1]) for one in given[len(first) :]))


def _floats(conditions: Any, kind: torch.dtype | None) -> Any:  # noqa: ANN401 - as `Examples` has them
    if isinstance(conditions, Tensor):
        return conditions.to(kind) if conditions.is_floating_point() else conditions
    if isinstance(conditions, dict):
        return {name: _floats(part, kind) for name, part in conditions.items()}
    return tuple(_floats(part, kind) for part in conditions) if isinstance(conditions, tuple) else conditions


def precisions(x: Tensor, *models: torch.dtype | None) -> list[Precision]:
    """Return in which precisions a model may want its data, the likeliest first."""
    known = [one for one in models if one is not None]
    half = next((one for one in (*known, x.dtype) if one in _HALF), None)
    single = torch.float32
    if not x.is_floating_point():
        wanted = next((one for one in known if one not in _HALF), single)
        few = [Precision(), Precision(wanted)]
        return few if half is None else [*few, *_halved(half)]
    if half is not None:
        return [Precision(single), *_halved(half), Precision(half), Precision(half, z=half)]
    if known:
        return [Precision()] if known[0] == x.dtype else [Precision(known[0]), Precision()]
    return [Precision()] if x.dtype == single else [Precision(), Precision(single)]


def _halved(half: torch.dtype) -> list[Precision]:
    single = torch.float32
    return [Precision(single, encode=half), Precision(single, encode=half, z=half), Precision(single, z=half)]
