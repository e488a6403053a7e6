"""How the help of a command looks: a line an option, its default in brackets."""

import re
import shutil
import textwrap
from argparse import Action
from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from jsonargparse import DefaultHelpFormatter

__all__ = ["OF_METHODS", "Formatter", "explained", "placeholder"]

#: The help of an option that the help does not show: print_config leaves out what has none.
OF_METHODS = "a setting of methods"

_PLACEHOLDERS = {int: "N", float: "X", bool: "BOOL", Path: "PATH"}


class Formatter(DefaultHelpFormatter):
    """Two columns, the first one narrow unless the terminal is wide."""

    def __init__(self, prog: str) -> None:
        width = min(120, shutil.get_terminal_size().columns) - 2
        super().__init__(prog, max_help_position=36 if width > 100 else 27, width=width)  # type: ignore[no-untyped-call]

    def add_argument(self, action: Action) -> None:
        """Leave out the settings of methods, which `lambda-vae list NAME` tells."""
        if action.help != OF_METHODS:
            super().add_argument(action)

    def _get_help_string(self, action: Action) -> str:
        return action.help or ""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _format_args(self, action: Action, default_metavar: Any) -> str:
        return f"{action.metavar} ..." if action.nargs == "+" else super()._format_args(action, default_metavar)


def explained(meaning: str | None, hint: Any, default: Any) -> str:
    """Return the help of an option: a phrase, the choices that it does not name, the default in brackets.

    Args:
        meaning: What a docstring says; its first sentence counts.
        hint: The type.
        default: None and False, which the phrase tells, are left out.

    Example:
        >>> explained("Passes over the data. The last one may be short.", int, 100)
        'passes over the data [100]'
        >>> explained("What becomes of odd files", Literal["refuse", "skip"], "refuse")
        'what becomes of odd files: refuse or skip [refuse]'
    """
    phrase = re.split(r"\.(?:\s|$)", " ".join((meaning or "").split()), maxsplit=1)[0]
    first = phrase.partition(" ")[0]
    if first[1:].islower() or first == "A":
        phrase = phrase[:1].lower() + phrase[1:]
    choices = [str(one) for one in get_args(hint)] if get_origin(hint) is Literal else []
    if not all(one in phrase for one in choices):
        phrase = f"{phrase}: {', '.join(choices[:-1])} or {choices[-1]}"
    untold = default is None or default in ((), [])
    return f"{phrase} {'' if untold else _written(default)}".strip().replace("%", "%%")


def _written(default: Any) -> str:
    entries = default if isinstance(default, list | tuple) else [default]
    return f"[{', '.join(str(one).lower() if isinstance(one, bool) else str(one) for one in entries)}]"


def placeholder(hint: Any) -> str:
    """Return what stands for the value of an option.

    Args:
        hint: The type.

    Example:
        >>> placeholder(float | None), placeholder(tuple[int, ...]), placeholder(Literal["a", "b"])
        ('X', '[N, ...]', 'NAME')
    """
    if get_origin(hint) in (tuple, Sequence):
        return f"[{placeholder(get_args(hint)[0])}, ...]"
    kinds = [one for one in get_args(hint) if one is not NoneType] if get_origin(hint) is not Literal else []
    return _PLACEHOLDERS.get(kinds[0] if kinds else hint, "NAME")
