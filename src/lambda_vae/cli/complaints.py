"""What jsonargparse finds wrong with the words of a command, in one plain clause."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from lambda_vae.checked import kind, nearest

__all__ = ["OLD_OPTIONS", "as_options", "current_options", "plain_complaint", "with_yaml_numbers"]

OLD_OPTIONS = {"aim": "objective", "within": "tolerance"}
"""Options of the last release that have another name now, by their names without dashes."""

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


def as_options(message: str, flags: Mapping[str, bool]) -> str:
    """Return a sentence that names parameters of Python, as in `out` or `epochs=3`, with the command's options instead.

    Args:
        message: Ours.
        flags: The parameters that are options of the command; whether each is a flag, which takes no value.

    Example:
        >>> as_options("add `resume=True`, or choose another `out`", {"out": False, "resume": True})
        'add --resume, or choose another --out'
    """

    def option(found: re.Match[str]) -> str:
        if found[1] not in flags:
            return found[0]
        value = "" if flags[found[1]] or found[2] is None else f" {found[2]}"
        return f"--{found[1]}{value.replace(' True', ' true').replace(' False', ' false')}"

    return re.sub(r"`(\w+)(?:=([^`]*))?`", option, message)


def current_options(words: Sequence[str], flags: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the words of a command with options of the last release under their names of today, and a hint for each.

    Args:
        words: After the command's name.
        flags: The options of the command, without dashes.

    Example:
        >>> current_options(["--aim", "bound", "--within=2"], {"objective", "tolerance"})[0]
        ['--objective', 'bound', '--tolerance=2']
    """
    result, hints = [], []
    for word in words:
        old, equals, value = word.removeprefix("--").partition("=")
        new = OLD_OPTIONS.get(old) if word.startswith("--") else None
        if new is None or new not in flags or old in flags:
            result.append(word)
        else:
            result.append(f"--{new}{equals}{value}")
            hints.append(f"--{old} is called --{new} now; the old name goes with the next release")
    return result, hints
