"""Values of options: what each may be, in words, and what is wrong with one that is not."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

__all__ = ["fits", "kind", "nearest", "plain_complaint", "plain_number", "with_yaml_numbers"]

_KINDS = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "text",
    NoneType: "null",
}


def kind(hint: Any) -> str:  # noqa: ANN401 - any type hint
    """Return what a value of this type is, in words.

    Args:
        hint: str, int, float, bool, None, a Literal, a tuple of any length, or a union of these.

    Example:
        >>> kind(float | None), kind(tuple[int, ...])
        ('a number or null', 'a list such as [a, b], each entry a whole number')
    """
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(str, get_args(hint)))}"
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(kind(part) for part in get_args(hint))
    if get_origin(hint) is tuple:
        return f"a list such as [a, b], each entry {kind(get_args(hint)[0])}"
    return _KINDS.get(hint, "another kind of value")


def fits(value: object, hint: Any) -> bool:  # noqa: ANN401 - any type hint
    """Return whether a value read from a file is of this type; a whole number is a number too, a list is a tuple.

    Args:
        value: As YAML gives it.
        hint: As for `kind`.

    Example:
        >>> fits(3, float), fits(True, int), fits([300, 300], tuple[int, ...]), fits("x", float | None)
        (True, False, True, False)
    """
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        return any(fits(value, part) for part in get_args(hint))
    if get_origin(hint) is tuple:
        return isinstance(value, list | tuple) and all(fits(entry, get_args(hint)[0]) for entry in value)
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else hint)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'X'?)" for the nearest known name, or nothing where none is near.

    Args:
        name: As typed.
        known: What it could have been.

    Example:
        >>> nearest("lambda-vea", ["vae", "lambda-vae"])
        " (did you mean 'lambda-vae'?)"
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def plain_number(value: float) -> str:
    """Return a number in as few digits as tell it from every other one.

    Args:
        value: Any number.

    Example:
        >>> plain_number(3.0), plain_number(1.01), plain_number(1.0000001)
        ('3', '1.01', '1.0000001')
    """
    return repr(float(value)).removesuffix(".0")


_UNION = r'Parser key "(\w+)".*Given value: ?(.*)'
_VALUE = r'Parser key "(\w+)".*Got value: ?(.*)'


def plain_complaint(message: str, hints: Mapping[str, Any], options: Collection[str]) -> str:
    """Return what jsonargparse complains of, in one plain clause.

    Args:
        message: Its own.
        hints: The type of each value by its name, None where it has none.
        options: All options of the command, with their dashes.

    Example:
        >>> plain_complaint('Parser key "epochs": Expected a <class int>. Got value: x', {"epochs": int}, [])
        "epochs is 'x'; it must be a whole number"
    """
    message = " ".join(message.split())
    if wrong := re.fullmatch(_UNION, message) or re.fullmatch(_VALUE, message):
        hint = hints.get(wrong[1])
        near = nearest(wrong[2], map(str, get_args(hint))) if get_origin(hint) is Literal else ""
        return f"{wrong[1]} is {wrong[2]!r}{near}; it must be {kind(hint)}"
    if wrong := re.fullmatch(r'Parser key "config": (.*)', message):
        return f"--config cannot be read: {wrong[1]}"
    if wrong := re.fullmatch(r"Option '(.*)' is not accepted", message):
        return f"unknown key {wrong[1]!r} in the config file{nearest(wrong[1], hints)}"
    if message.startswith(("Problems parsing config", "Unexpected config")):
        return f"the config file is no YAML mapping of option names to values ({message[:300]})"
    if wrong := re.fullmatch(r"the following arguments are required: (.*)", message):
        missing = [f"--{name}" if f"--{name}" in options else name.upper() for name in wrong[1].split(", ")]
        return f"{', '.join(missing)} is missing"
    if wrong := re.fullmatch(r"(?i)unrecognized arguments: (\S+)(.*)", message):
        return f"unknown option {wrong[1]!r}{nearest(wrong[1].partition('=')[0], options)}"
    return message


def with_yaml_numbers(words: Sequence[str], numeric: Collection[str]) -> list[str]:
    """Return the words of a command with YAML's names for infinity and NaN, where people write Python's.

    Args:
        words: After the command's name.
        numeric: The options that take numbers.

    Example:
        >>> with_yaml_numbers(["--delta", "1.5", "inf", "--data", "inf", "--beta=nan"], {"--delta", "--beta"})
        ['--delta', '1.5', '.inf', '--data', 'inf', '--beta=.nan']
    """
    takes_numbers, result = False, []
    for word in words:
        name, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        if name:
            takes_numbers = name in numeric
        number = re.fullmatch(r"(?i)([+-]?)(inf|nan)", value) if takes_numbers else None
        result.append(f"{name}{equals}{number[1]}.{number[2].lower()}" if number else word)
    return result
