"""ln q(z) at a narrowed z: a KL that is estimated from samples is not the one that lambda leaves alone."""

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal

from lambda_vae.equalization import VarianceEqualizer

__all__ = ["watch_densities"]

_HOST = Normal.log_prob

#: The z that was narrowed last, its mu, whose lambda, and where.
_LAST: list[Any] = []


def watch_densities(equalizer: VarianceEqualizer, name: str, mu: Tensor, z: Tensor) -> None:
    """Take note of a z that was narrowed; from the first on, `Normal.log_prob` looks whether it is given one."""
    Normal.log_prob = _log_prob  # type: ignore[method-assign]
    _LAST[:] = [(weakref.ref(z), weakref.ref(_root(mu)), weakref.ref(equalizer), name)]


def _log_prob(self: Normal, value: Tensor) -> Tensor:
    if _LAST and not torch.compiler.is_compiling() and isinstance(value, Tensor):
        z, mu, equalizer = (part() for part in _LAST[0][:3])
        name = _LAST[0][3]
        if z is not None and _root(value) is z and _root(self.loc) is mu and equalizer is not None:
            equalizer._warn(
                "density",
                f"ln q(z) is taken at the z that {name} has narrowed: a KL or entropy that is estimated from samples "
                "is not the one of sigma; take it in closed form, as kl_divergence(q, p) does, or leave lambda out",
            )
    density: Tensor = _HOST(self, value)  # type: ignore[no-untyped-call]
    return density


def _root(tensor: Tensor) -> Tensor:
    """What a tensor is a view of."""
    return tensor if tensor._base is None else tensor._base
