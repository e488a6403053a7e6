"""What a decoder's output means: theta -> p(x|z)."""

from abc import abstractmethod
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Drawable", "Independent", "Likelihood", "Observation", "PixelDistribution", "at_least_float32"]


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return `tensor` in float32 if it is half or bfloat16, else as it is.

    Losses, KLs and sampling are never computed in reduced precision: near collapse a KL is a difference of nearly equal
    numbers.
    """
    return tensor.float() if tensor.element_size() < 4 else tensor


@runtime_checkable
class Observation(Protocol):
    """p(x|z): what the corridor asks of any likelihood."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Log p(x|z) in nats, summed over the features; x of shape [B, F] against [..., B, F] gives [..., B]."""


@runtime_checkable
class Independent(Observation, Protocol):
    """A p(x|z) whose pixels are independent given z, so that one pass gives their means."""

    @property
    def mean(self) -> Tensor:
        """E[x|z], shape [..., F]."""


@runtime_checkable
class Drawable(Observation, Protocol):
    """A p(x|z) that can be drawn from."""

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """A draw, [..., F]."""


@runtime_checkable
class PixelDistribution(Drawable, Protocol):
    """What can give the pixels of an autoregressive decoder one at a time."""

    @property
    def mode(self) -> Tensor:
        """The likeliest value of each feature, [..., F]."""


class Likelihood(nn.Module):
    """A map from the decoder's output theta to p(x|z).

    Args:
        features: F, the length of x.

    Attributes:
        as_maps: Whether theta are maps [..., P, H, W]; else rows [..., F] in the order of the data.
    """

    as_maps: bool = False

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features

    @abstractmethod
    def forward(self, theta: Float[Tensor, "*batch F"]) -> Observation:
        """Return p(x|z) for the decoder's output theta."""
        raise NotImplementedError

    def maps(self, channels: int) -> int:
        """Return P, how many numbers of theta a pixel takes.

        Args:
            channels: Of the image.
        """
        return channels

    def by_feature(self, gradient: Float[Tensor, "*batch F"]) -> Float[Tensor, "*batch F"]:
        """Return what shifting the location of each feature changes, from what changing theta does.

        Args:
            gradient: d log p(x) / d theta, of the shape of theta.
        """
        return gradient
