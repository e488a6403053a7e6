"""The one exception that stands for bad input."""

__all__ = ["InputError"]


class InputError(ValueError):
    """Input that the caller can mend; its message is one sentence with the offending value and the remedy.

    The command line prints the message and exits with code 2; any other exception is a defect and keeps its traceback.

    Example:
        >>> raise InputError("delta is 0.9; it must be greater than 1")
        Traceback (most recent call last):
        ...
        lambda_vae.errors.InputError: delta is 0.9; it must be greater than 1
    """
