"""The diagonal Gaussian posterior."""

from jaxtyping import Float
from torch import Tensor, nn

from lambda_vae.distributions import DiagGaussian

__all__ = ["GaussianPosterior"]


class GaussianPosterior(nn.Module):
    """q(z|x) = N(mu(h), diag(exp(logvar(h)))), both linear in the encoder's output h.

    Args:
        features: Length of h.
        latent_dim: D.

    Source:
        Kingma and Welling 2014, arXiv:1312.6114, section 3.
    """

    def __init__(self, features: int, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.head = nn.Linear(features, 2 * latent_dim)

    def forward(self, h: Float[Tensor, "B H"]) -> DiagGaussian:
        """Return q(z|x), parameters of shape [B, D]."""
        mu, logvar = self.head(h).chunk(2, dim=-1)
        return DiagGaussian(mu, logvar)
