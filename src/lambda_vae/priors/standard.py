"""The standard normal prior."""

from collections.abc import Callable

import torch
from torch import Tensor

from lambda_vae.distributions import DiagGaussian, PosteriorDistribution
from lambda_vae.priors.prior import Prior

__all__ = ["StandardNormalPrior"]


class StandardNormalPrior(Prior):
    """p(z) = N(0, I).

    Args:
        latent_dim: D.
    """

    zeros: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.register_buffer("zeros", torch.zeros(latent_dim), persistent=False)

    def forward(self, encode: Callable[[Tensor], PosteriorDistribution]) -> DiagGaussian:
        """Return p(z), parameters of shape [D]; it is not made of posteriors."""
        return DiagGaussian(self.zeros, self.zeros)
