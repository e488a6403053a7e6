"""What the second tensor of `encode` is: ln sigma^2, sigma, ln sigma, sigma^2, or what a softplus makes sigma of."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from lambda_vae.distributions.base import at_least_float32
from lambda_vae.errors import InputError

__all__ = ["TAKES", "check_takes", "logvar_from"]

#: By name, the second tensor to ln sigma^2.
TAKES: dict[str, Callable[[Tensor], Tensor]] = {
    "logvar": lambda second: second,
    "std": lambda second: 2.0 * second.log(),
    "log_std": lambda second: 2.0 * second,
    "var": lambda second: second.log(),
    "softplus": lambda second: 2.0 * F.softplus(second).log(),
}

_POSITIVE = {"std": "a standard deviation", "var": "a variance"}


def check_takes(takes: str | None) -> None:
    """Raise unless `takes` is None or a name of `TAKES`."""
    if takes is not None and takes not in TAKES:
        raise InputError(
            f"takes is {takes!r}; it is one of {', '.join(map(repr, TAKES))}: what encode's second tensor is"
        )


def logvar_from(second: Tensor, takes: str | None) -> Tensor:
    """Return ln sigma^2, in float32 at least.

    Raises:
        InputError: Numbers below 0 where there can be none.

    Example:
        >>> import torch
        >>> logvar_from(torch.ones(1), "std")
        tensor([0.])
    """
    check_takes(takes)
    if takes in _POSITIVE and bool((second < 0.0).any()):
        raise InputError(
            f"takes is {takes!r}, but the second tensor of encode goes down to {float(second.min()):.3g}, and "
            f"{_POSITIVE[takes]} is above 0; say takes='logvar' if it is ln sigma^2, 'log_std' if it is ln sigma"
        )
    return TAKES[takes or "logvar"](at_least_float32(second))
