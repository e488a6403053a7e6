"""Switch lambda on in a model that samples in a method of its own."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from lambda_vae.equalization import VarianceEqualizer, theory
from lambda_vae.errors import InputError

__all__ = ["TAKES", "attached", "equalize", "sampling_method", "usual_method"]

#: What the second argument of a sampling method is.
TAKES = ("logvar", "std", "log_std")

_USUAL = ("reparameterize", "reparametrize", "reparameterise", "reparameterization", "sample_gauss", "_sample_gauss")


def equalize(
    model: nn.Module,
    latent_dim: int,
    delta: float,
    *,
    method: str | None = None,
    takes: str | None = None,
    **settings: Any,  # noqa: ANN401 - VarianceEqualizer's
) -> VarianceEqualizer:
    """Return the equalizer that from now on narrows the noise of `model`'s own sampling method while it trains.

    The method itself still draws, from a sigma raised to lambda; so chance, dtype and what it does in eval mode are the
    host's, and at delta = inf, lambda = 1, every number of its training stays bit for bit what it was. The KL stays the
    host's own: it never sees the narrowed sigma. In eval mode nothing is changed. The equalizer is a submodule of
    `model`, so that its state goes into the host's checkpoints. Call `equalizer.end_epoch()` after each training epoch.

    Args:
        model: With a method (mu, logvar) -> z, or (mu, std) -> z.
        latent_dim: D.
        delta: The trade-off, > 1; see "Choosing delta" in the documentation.
        method: Its name; looked for among the usual ones (`reparameterize`, ..., or a `sample` whose first argument is
            mu) if left out. Distributions that it returns beside z, as for a KL, stay those of sigma.
        takes: What its second argument is; read off the argument's name if left out.
        settings: Of `VarianceEqualizer`, such as release_epochs or dim.

    Raises:
        InputError: There is no such method, it is not clear what it takes, or the model is equalized already.

    Source:
        The paper, Eq. 9 and 16.

    Example:
        >>> class Tutorial(nn.Module):
        ...     def reparameterize(self, mu, logvar):
        ...         return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        >>> model = Tutorial()
        >>> equalizer = equalize(model, latent_dim=2, delta=1.1)
        >>> model.reparameterize(torch.zeros(3, 2), torch.zeros(3, 2)).shape
        torch.Size([3, 2])
    """
    name, kind = sampling_method(model, method, takes)
    equalizer = attached(model, latent_dim, delta, **settings)
    setattr(model, name, _Equalized(getattr(model, name), equalizer, kind))
    return equalizer


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


def attached(model: nn.Module, latent_dim: int, delta: float, **settings: Any) -> VarianceEqualizer:  # noqa: ANN401
    """Return a new equalizer that is a submodule of `model`, on its device and in its mode; nothing uses it yet.

    Args:
        model: The host's.
        latent_dim: D.
        delta: The trade-off, > 1.
        settings: Of `VarianceEqualizer`.

    Raises:
        InputError: The model is equalized already.
    """
    if isinstance(getattr(model, "equalizer", None), VarianceEqualizer):
        raise InputError(f"{type(model).__name__} is equalized already; use its model.equalizer")
    equalizer = VarianceEqualizer(latent_dim, delta, **settings).to(_device(model))
    equalizer.train(model.training)
    model.add_module("equalizer", equalizer)
    return equalizer


@dataclass(eq=False)
class _Equalized:
    """The host's method under lambda; an object, so that a copy of the model gets an equalizer of its own."""

    host: Callable[..., Any]
    equalizer: VarianceEqualizer
    kind: str

    def __call__(self, mu: Tensor, scale: Tensor, *more: Any, **named: Any) -> Any:  # noqa: ANN401 - the host's own
        if not self.equalizer.training:
            return self.host(mu, scale, *more, **named)
        std = {"logvar": lambda: torch.exp(0.5 * scale), "std": lambda: scale, "log_std": scale.exp}[self.kind]()
        self.equalizer.observe(std, mu)
        drawn = self.host(mu, _narrowed(scale, self.equalizer, self.kind), *more, **named)
        if isinstance(drawn, Distribution):
            raise InputError(
                f"{getattr(self.host, '__qualname__', self.host)} returns a {type(drawn).__name__} and draws nothing, "
                "so its KL would be narrowed too; return EqualizedNormal(mu, std, exponent) instead of equalizing it"
            )
        if self.equalizer.delta == math.inf or not isinstance(drawn, tuple | list):
            return drawn
        if not any(isinstance(one, Distribution) for one in drawn):
            return drawn
        # Distributions beside z are for the KL, so they must be the encoder's own; z stays the one already drawn.
        with torch.random.fork_rng([mu.device] if mu.is_cuda else []):
            own = self.host(mu, scale, *more, **named)
        return tuple(a if isinstance(a, Distribution) else b for a, b in zip(own, drawn, strict=True))


def _narrowed(scale: Tensor, equalizer: VarianceEqualizer, kind: str) -> Tensor:
    """What the host's method takes, of sigma^lambda; the very same numbers at lambda = 1."""
    if kind == "std":
        return equalizer.sampling_std(scale).to(scale.dtype)
    # ln sigma^2 and ln sigma are both multiplied by lambda, where they are below 0
    return theory.sampling_logvar(scale, equalizer.exponent_for(scale)).to(scale.dtype)


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


def _device(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
