"""The method that draws z, by its usual names."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from lambda_vae.errors import InputError

__all__ = ["sampling_method", "usual_method"]

TAKES = ("logvar", "std", "log_std")

_USUAL = ("reparameterize", "reparametrize", "reparameterise", "reparameterization", "sample_gauss", "_sample_gauss")


def sampling_method(model: nn.Module, method: str | None = None, takes: str | None = None) -> tuple[str, str]:
    """Return the name of the method that draws z, and what its second argument is.

    Args:
        model: As for `equalize`.
        method: Likewise.
        takes: Likewise.

    Raises:
        InputError: There is no such method, or it is not clear what it takes.
    """
    name = method or usual_method(model)
    host = getattr(model, name, None) if name else None
    if name is None or not callable(host):
        raise InputError(
            f"{type(model).__name__} has no method {method or ', '.join(_USUAL)}; name the one that draws z: "
            "equalize(..., method='NAME'); where none does, draw with a VarianceEqualizer: `z = equalizer(mu, std)`"
        )
    kind = takes or _kind(host, f"{type(model).__name__}.{name}")
    if kind not in TAKES:
        raise InputError(f"takes is {kind!r}; it must be one of {', '.join(TAKES)}")
    return name, kind


def usual_method(model: nn.Module) -> str | None:
    """Return the name of the method that draws z, if it is one of the usual ones.

    Args:
        model: To look at; not its submodules.
    """
    return next((known for known in (*_USUAL, "sample") if _draws(model, known)), None)


def _draws(model: nn.Module, name: str) -> bool:
    """Whether a method of a usual name draws z; a `sample` that draws from the prior is called with a number."""
    method = getattr(model, name, None)
    if not callable(method):
        return False
    return name != "sample" or next(iter(inspect.signature(method).parameters), "").lower().startswith(("mu", "mean"))


def _kind(method: Callable[..., Any], name: str) -> str:
    words = [word.lower() for word in inspect.signature(method).parameters]
    word = words[1] if len(words) > 1 else ""
    if "log" in word:
        return "log_std" if any(part in word for part in ("std", "sigma", "scale")) else "logvar"
    if any(part in word for part in ("std", "sigma", "scale")):
        return "std"
    raise InputError(
        f"{name} calls its second argument {word!r}, which does not say what it is; say takes='logvar', 'std' or "
        "'log_std'"
    )
