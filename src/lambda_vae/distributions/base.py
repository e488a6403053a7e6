"""The base of every distribution: draws with their density, the precision of densities, the protocols of p(x|z)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "Independent",
    "LikelihoodDistribution",
    "PixelDistribution",
    "Sample",
    "Sampleable",
    "at_least_float32",
]


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return `tensor` in float32 if it is half or bfloat16, else as it is.

    Losses, KLs and sampling are never computed in reduced precision: near collapse a KL is a difference of nearly equal
    numbers.
    """
    return tensor.float() if tensor.element_size() < 4 else tensor


@dataclass(frozen=True, eq=False)
class Sample:
    """Draws from a distribution with their log density.

    Args:
        z: [..., D].
        log_prob: () -> the log density at z in nats, [...]; computed when asked for, as most objectives never do.
    """

    z: Float[Tensor, "*sample D"]
    log_prob: Callable[[], Tensor]


@runtime_checkable
class LikelihoodDistribution(Protocol):
    """p(x|z): the protocol of every likelihood."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x|z) in nats, summed over the features.

        Args:
            x: [B, F]; against parameters [..., B, F] it gives [..., B].
        """


@runtime_checkable
class Independent(LikelihoodDistribution, Protocol):
    """A p(x|z) whose pixels are independent given z, so that one pass gives their means."""

    @property
    def mean(self) -> Tensor:
        """E[x|z], shape [..., F]."""


@runtime_checkable
class Sampleable(LikelihoodDistribution, Protocol):
    """A p(x|z) that can be drawn from."""

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Return a draw, [..., F].

        Args:
            generator: Of the random numbers; None is torch's global one.
        """


@runtime_checkable
class PixelDistribution(Sampleable, Protocol):
    """What can give the pixels of an autoregressive decoder one at a time."""

    @property
    def mode(self) -> Tensor:
        """The likeliest value of each feature, [..., F]."""
