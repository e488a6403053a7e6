"""Which conditions a callable of the user's takes: told by its signature, never by trying labels on it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor, nn

from lambda_vae.errors import InputError
from lambda_vae.estimation.examples import taken

__all__ = ["Asked", "Leading", "asked", "first_parameter"]

_BY_PLACE = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_GATHERING = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


@dataclass(frozen=True, eq=False)
class Asked:
    """A callable that takes all conditions of a batch behind its arguments, and hands on those that it wants.

    Args:
        function: The user's.
        places: Of the conditions that it takes by place: indices of a tuple, or names.
        names: Of those that it takes by name.
        left_out: Its optional parameter that a condition may have been meant for.
        gathers: Whether its signature leaves open what it takes, as *args does.
    """

    function: Callable[..., Any]
    places: tuple[Any, ...] = ()
    names: tuple[str, ...] = ()
    left_out: str | None = None
    gathers: bool = False

    @property
    def keys(self) -> tuple[Any, ...]:
        """Of all conditions that it takes."""
        return (*self.places, *self.names)

    def with_all(self, conditions: Any) -> "Asked":  # noqa: ANN401 - a tuple, or a dict
        """Return it with everything that a batch holds besides x."""
        if isinstance(conditions, Mapping):
            return Asked(self.function, names=tuple(conditions))
        return Asked(self.function, tuple(range(len(conditions))))

    def __call__(self, *given: Any) -> Any:  # noqa: ANN401 - the user's own
        """Return what the user's function answers."""
        *arguments, conditions = given
        by_place = self.by_place(conditions)
        return self.function(*arguments, *by_place, **{name: conditions[name] for name in self.names})

    def by_place(self, conditions: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a tuple, or a dict
        """Return those conditions that it takes by place.

        Raises:
            InputError: The batch lacks one, also of those that are taken by name.
        """
        if isinstance(conditions, Mapping):
            gone = [name for name in self.keys if name not in conditions]
            if gone:
                raise InputError(f"a later batch has no {gone[0]!r}, which the first one had")
        elif len(conditions) <= max(self.places, default=-1):
            raise InputError(f"a later batch holds {1 + len(conditions)} things, and the first one held more")
        return tuple(conditions[place] for place in self.places)


@dataclass(frozen=True, eq=False)
class Leading:
    """A callable of x, or of x and z, that are the first examples of a batch whose conditions are known.

    It may be asked of the whole batch, of its beginning, or of the whole batch several times over; not of others.

    Args:
        function: Takes the conditions last.
        conditions: Of the whole batch.
        count: Its examples.
    """

    function: Callable[..., Any]
    conditions: object
    count: int

    def __call__(self, *arguments: Tensor) -> Any:  # noqa: ANN401 - the user's own
        """Return what the function answers."""
        index = torch.arange(len(arguments[0])) % self.count
        return self.function(*arguments, taken(self.conditions, index))


def first_parameter(function: Callable[..., Any]) -> str | None:
    """Return what a callable names its first argument, None where that cannot be told."""
    known = _parameters(function)
    return known[0].name if known and known[0].kind in _BY_PLACE else None


def asked(what: str, function: Callable[..., Any], before: tuple[str, ...], conditions: Any) -> Asked:  # noqa: ANN401
    """Return the callable with what it wants of a batch's conditions.

    A tuple's go to the required parameters behind x, in their order, and what is left over is ignored, as labels are; a
    dict's go to the parameters of their names, required or not.

    Raises:
        InputError: It wants more than there is.
    """
    own, gathers = _own(function, len(before))
    # A likelihood of a decoder hands its conditions on to that, by place.
    decode: Any = None if isinstance(function, nn.Module) or not gathers else getattr(function, "decode", None)
    by_place = callable(decode)
    if by_place:
        own, gathers = _own(decode, 1)
    required = [one for one in own if one.default is Parameter.empty]
    if isinstance(conditions, Mapping):
        missing = [one.name for one in required if one.name not in conditions]
        if missing:
            raise InputError(_wanting(what, before, missing, f"the keys {', '.join(map(repr, conditions)) or 'of x'}"))
        names = tuple(one.name for one in own if one.name in conditions)
        return Asked(function, names) if by_place else Asked(function, names=names, gathers=gathers)
    missing = [one.name for one in required if one.kind not in _BY_PLACE] or [one.name for one in required]
    if len(required) > len(conditions) or any(one.kind not in _BY_PLACE for one in required):
        held = f"x and {len(conditions)} more" if conditions else "x alone"
        raise InputError(_wanting(what, before, missing, held))
    spare = [one for one in own if one.default is None and one.kind in _BY_PLACE]
    left_out = spare[0].name if spare and len(conditions) > len(required) else None
    return Asked(function, tuple(range(len(required))), left_out=left_out, gathers=gathers)


def _own(function: Callable[..., Any], before: int) -> tuple[list[Parameter], bool]:
    """The parameters behind the first ones, and whether that is left open, as *args does."""
    known = _parameters(function)
    bound = function.keywords if isinstance(function, partial) else ()
    own = [one for one in known[before:] if one.kind not in _GATHERING and one.name not in bound]
    return own, not own and any(one.kind in _GATHERING for one in known)


def _wanting(what: str, before: tuple[str, ...], missing: list[str], held: str) -> str:
    names = ", ".join(missing)
    by_name = ", ".join(f"{name!r}: {name}" for name in missing)
    return (
        f"{what} wants {names} besides {' and '.join(before)}, and a batch holds {held}; give batches of (x, {names}), "
        f"as DataLoader(TensorDataset(x, {names})) does, or {{'x': x, {by_name}}}"
    )


def _parameters(function: Callable[..., Any]) -> list[Parameter]:
    module = getattr(function, "_orig_mod", function)  # of torch.compile
    try:
        return list(signature(module.forward if isinstance(module, nn.Module) else module).parameters.values())
    except (TypeError, ValueError):  # written in C
        return []
