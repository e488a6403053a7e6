"""The map from a decoder's output to a likelihood: theta -> p(x|z)."""

from abc import abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from lambda_vae.distributions.base import LikelihoodDistribution

__all__ = ["Likelihood"]


class Likelihood(nn.Module):
    """A map from the decoder's output theta to p(x|z).

    Args:
        features: F, the length of x.

    Attributes:
        as_maps: Whether theta are maps [..., P, H, W]; else rows [..., F] in the order of the data.
        reads_tokens: Whether x are sequences of tokens, int64 [B, L] padded with 0, instead of numbers [B, F].
    """

    as_maps: bool = False
    reads_tokens: bool = False

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features

    @abstractmethod
    def forward(self, theta: Float[Tensor, "*batch F"]) -> LikelihoodDistribution:
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
