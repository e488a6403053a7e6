"""The exceptions that the command line turns into a sentence and an exit code, and the one way to warn."""

import sys
import warnings
from collections.abc import Callable
from typing import Any

__all__ = ["Diverged", "InputError", "Interrupted", "require_within", "warn"]

#: Packages that no warning points into: the caller cannot change anything there.
_BETWEEN = ("lambda_vae", "torch", "jaxtyping")


class InputError(ValueError):
    """Input that the caller can correct; its message is one sentence with the offending value and the remedy.

    The command line prints the message and exits with code 2; any other exception is a defect and keeps its traceback.

    Example:
        >>> raise InputError("delta is 0.9; it must be greater than 1")
        Traceback (most recent call last):
        ...
        lambda_vae.errors.InputError: delta is 0.9; it must be greater than 1
    """


class Diverged(RuntimeError):
    """A loss or a weight was not finite; the message says where, which term, and what to try."""


class Interrupted(Exception):
    """Training was asked to stop and has saved a checkpoint; resume it to go on."""


def warn(text: str) -> None:
    """Warn at the line of the first caller outside of this package and of torch.

    Args:
        text: One sentence with what was seen and the remedy.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, UserWarning, stacklevel=level)


def require_within(name: str, value: Any, holds: Callable[[Any], bool], domain: str) -> None:  # noqa: ANN401 - a user's
    """Raise InputError for a value outside a domain, or of a type that cannot be compared with it.

    Args:
        name: As its user knows it.
        value: What was given.
        holds: Whether a value is within.
        domain: In words.

    Raises:
        InputError: It is not within.
    """
    try:
        within, what = holds(value), ""
    except TypeError:
        within, what = False, "a number, "
    if not within:
        raise InputError(f"{name} is {value!r}; it must be {what}{domain}")
