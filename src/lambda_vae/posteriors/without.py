"""The prior in the place of a posterior: what there is to know of a z that nothing depends on."""

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions import DiagGaussian
from lambda_vae.posteriors.posterior import Posterior

__all__ = ["PriorPosterior"]


class PriorPosterior(Posterior):
    """q(z|x) = N(0, I) for every x; the encoder's output is not read.

    Args:
        latent_dim: D.
    """

    reads_encoder = False

    def forward(self, h: Float[Tensor, "B H"], xi: Float[Tensor, "B X"] | None = None) -> DiagGaussian:
        """Return q(z|x), parameters of shape [B, D]."""
        mu = h.new_zeros(len(h), self.latent_dim)
        # Training records the gradient at z, so z must have one.
        return DiagGaussian(mu.requires_grad_(torch.is_grad_enabled()), torch.zeros_like(mu))
