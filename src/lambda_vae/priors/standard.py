"""The standard normal prior."""

import torch
from torch import Tensor, nn

from lambda_vae.distributions import DiagGaussian

__all__ = ["StandardNormalPrior"]


class StandardNormalPrior(nn.Module):
    """p(z) = N(0, I).

    Args:
        latent_dim: D.
    """

    zeros: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.register_buffer("zeros", torch.zeros(latent_dim), persistent=False)

    def forward(self) -> DiagGaussian:
        """Return p(z), parameters of shape [D]."""
        return DiagGaussian(self.zeros, self.zeros)
