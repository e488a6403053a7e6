"""Values from outside: checked against the types that they must have, and named in sentences."""

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, Field, fields
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from lambda_vae.errors import InputError

__all__ = ["check_known", "check_values", "checked", "fits", "kind", "nearest", "plain_number"]

T = TypeVar("T")

_KINDS = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "text",
    NoneType: "null",
    Mapping: "a mapping",
}


def checked(of: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """Return the dataclass that values from outside describe.

    Args:
        of: A dataclass whose fields are of the types that `kind` knows.
        values: By field; lists stand for tuples; a field that is absent keeps its default.
        where: What messages begin with.

    Raises:
        InputError: An unknown or missing key, a value of the wrong kind, or one that the dataclass itself refuses.

    Example:
        >>> from lambda_vae.estimation.annealed import Annealing
        >>> checked(Annealing, {"chains": 3}).chains
        3
        >>> checked(Annealing, {"chain": 3})
        Traceback (most recent call last):
        ...
        lambda_vae.errors.InputError: unknown key 'chain' (did you mean 'chains'?); remove it or mend it
    """
    check_values(values, get_type_hints(of), where)
    if missing := [field.name for field in fields(of) if _needed(field) and field.name not in values]:  # type: ignore[arg-type]
        raise InputError(f"{where}{', '.join(missing)} is missing")
    return of(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def check_values(values: Mapping[str, Any], hints: Mapping[str, Any], where: str = "") -> None:
    """Raise unless every value from outside has a known name and the type that goes with it.

    Args:
        values: By name.
        hints: The type of each name, of those that `kind` knows.
        where: What messages begin with.

    Raises:
        InputError: An unknown key, or a value of the wrong kind.
    """
    for name, value in values.items():
        if name not in hints:
            raise InputError(f"{where}unknown key {name!r}{nearest(str(name), hints)}; remove it or mend it")
        if not fits(value, hints[name]):
            raise InputError(f"{where}{name} is {value!r}; it must be {kind(hints[name])}")


def _needed(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def kind(hint: Any) -> str:  # noqa: ANN401 - any type hint
    """Return what a value of this type is, in words.

    Args:
        hint: str, int, float, bool, None, a Mapping, a Literal, a tuple of any length, or a union of these.

    Example:
        >>> kind(float | None), kind(tuple[int, ...])
        ('a number or null', 'a list such as [a, b], each entry a whole number')
    """
    origin = get_origin(hint)
    if origin is Literal:
        return f"one of {', '.join(map(str, get_args(hint)))}"
    if origin in (Union, UnionType):
        return " or ".join(kind(part) for part in get_args(hint))
    if origin in (tuple, list):
        return f"a list such as [a, b], each entry {kind(get_args(hint)[0])}"
    return _KINDS.get(origin or hint, "another kind of value")


def fits(value: object, hint: Any) -> bool:  # noqa: ANN401 - any type hint
    """Return whether a value read from a file is of this type; a whole number is a number too, a list is a tuple.

    Args:
        value: As YAML gives it.
        hint: As for `kind`.

    Example:
        >>> fits(3, float), fits(True, int), fits([300, 300], tuple[int, ...]), fits("x", float | None)
        (True, False, True, False)
    """
    origin = get_origin(hint)
    if origin is Literal:
        return value in get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in get_args(hint))
    if origin is tuple:
        return isinstance(value, list | tuple) and all(fits(entry, get_args(hint)[0]) for entry in value)
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else origin or hint)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'X'?)" for the nearest known name, or nothing where none is near.

    Args:
        name: As typed.
        known: What it could have been.

    Example:
        >>> nearest("lambda-vea", ["vae", "lambda-vae"])
        " (did you mean 'lambda-vae'?)"
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1) or difflib.get_close_matches(name.lower(), names, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def check_known(what: str, name: str, known: Collection[str], among: str) -> None:
    """Raise unless a name is known.

    Args:
        what: It names.
        name: As given.
        known: All that there are.
        among: What the message lists them under, such as "the methods are".

    Raises:
        InputError: It is not among them.

    Example:
        >>> check_known("engine", "rai", ("local", "ray"), "the engines are")
        Traceback (most recent call last):
        ...
        lambda_vae.errors.InputError: unknown engine 'rai' (did you mean 'ray'?); the engines are local, ray
    """
    if name not in known:
        raise InputError(f"unknown {what} {name!r}{nearest(name, known)}; {among} {', '.join(known)}")


def plain_number(value: float) -> str:
    """Return a number in as few digits as tell it from every other one.

    Args:
        value: Any number.

    Example:
        >>> plain_number(3.0), plain_number(1.01), plain_number(1.0000001)
        ('3', '1.01', '1.0000001')
    """
    return repr(float(value)).removesuffix(".0")
