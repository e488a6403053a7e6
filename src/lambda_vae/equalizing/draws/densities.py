"""A warning where ln q(z) is taken at a narrowed z: a KL estimated from samples is not that of sigma."""

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal

from lambda_vae.equalization import VarianceEqualizer

__all__ = ["watch_densities"]

_HOST = Normal.log_prob

#: The last narrowed z, its mu, the equalizer, and the name of the draw.
_LAST: list[Any] = []


def watch_densities(equalizer: VarianceEqualizer, name: str, mu: Tensor, z: Tensor) -> None:
    """Remember a narrowed z; from the first one on, `Normal.log_prob` warns when it is called with it."""
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
    return tensor if tensor._base is None else tensor._base
