"""The one exception that stands for bad input, and the one way to a warning."""

import sys
import warnings

__all__ = ["InputError", "warn"]

#: Whose lines a warning does not point at, for nobody mends anything there.
_BETWEEN = ("lambda_vae", "torch", "jaxtyping")


class InputError(ValueError):
    """Input that the caller can mend; its message is one sentence with the offending value and the remedy.

    The command line prints the message and exits with code 2; any other exception is a defect and keeps its traceback.

    Example:
        >>> raise InputError("delta is 0.9; it must be greater than 1")
        Traceback (most recent call last):
        ...
        lambda_vae.errors.InputError: delta is 0.9; it must be greater than 1
    """


def warn(text: str) -> None:
    """Warn at the line of the first caller outside of this package and of torch.

    Args:
        text: One sentence with what was seen and the remedy.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, UserWarning, stacklevel=level)
