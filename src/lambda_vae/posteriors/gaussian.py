"""The diagonal Gaussian posterior."""

from jaxtyping import Float
from torch import Tensor, nn

from lambda_vae.distributions import DiagGaussian
from lambda_vae.posteriors.posterior import Posterior

__all__ = ["GaussianPosterior"]


class GaussianPosterior(Posterior):
    """q(z|x) = N(mu(h), diag(exp(logvar(h)))), both linear in the encoder's output h.

    Args:
        features: Length of h.
        latent_dim: D.

    Source:
        Kingma and Welling 2014, arXiv:1312.6114, section 3.
    """

    def __init__(self, features: int, latent_dim: int) -> None:
        super().__init__(latent_dim)
        self.head = nn.Linear(features, 2 * latent_dim)

    def forward(self, h: Float[Tensor, "B H"], xi: Float[Tensor, "B X"] | None = None) -> DiagGaussian:
        """Return q(z|x), parameters of shape [B, D]; it has no use for xi."""
        mu, logvar = self.head(h).chunk(2, dim=-1)
        return DiagGaussian(mu, logvar)
