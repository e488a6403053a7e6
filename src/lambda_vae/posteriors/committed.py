"""The committed posterior of the independent delta-VAE: no weights can bring its KL below a rate."""

import math

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from lambda_vae.distributions import DiagGaussian
from lambda_vae.errors import InputError
from lambda_vae.posteriors.gaussian import GaussianPosterior

__all__ = ["CommittedPosterior"]


class CommittedPosterior(GaussianPosterior):
    r"""A Gaussian posterior with KL(q || N(0, 1)) >= rate in every dimension, for every x.

    sigma stays where its own part of the KL is at most the rate, between the two roots of
    ln sigma^2 - sigma^2 + 2 rate + 1 = 0, and mu stays so far from 0 that it brings the rest:

    .. math:: \mu = \sqrt{2 \, rate + 1 + \ln\sigma^2 - \sigma^2} + softplus(\mu_0)

    Args:
        features: Length of h.
        latent_dim: D.
        rate: Nats a dimension, >= 0; 0 asks for nothing and is the plain Gaussian posterior.

    Raises:
        InputError: The rate is negative, not a number, or greater than 100.

    Source:
        Razavi et al. 2019, arXiv:1901.03416, Appendix ("Independent delta-VAEs"). Deviations: the square root, without
        which the mean does not carry the rate; ln sigma^2, not sigma, moves between the roots; softplus instead of
        max(0, .), which has no gradient on one side.
    """

    def __init__(self, features: int, latent_dim: int, rate: float = 0.1) -> None:
        super().__init__(features, latent_dim)
        if not 0 <= rate <= 100:
            raise InputError(f"committed_rate is {rate} nats a dimension; it must be 0 to 100")
        self.rate = rate
        self.narrowest, self.widest = _logvar_range(rate)

    def forward(self, h: Float[Tensor, "B H"], xi: Float[Tensor, "B X"] | None = None) -> DiagGaussian:
        """Return q(z|x), parameters of shape [B, D]; it has no use for xi."""
        free = super().forward(h)
        if not self.rate:
            return free
        logvar = self.narrowest + (self.widest - self.narrowest) * free.logvar.sigmoid()
        owed = 2.0 * self.rate + 1.0 + logvar - logvar.exp()
        # The floor keeps the root's slope finite at either end.
        return DiagGaussian(owed.clamp(min=1e-12).sqrt() + softplus(free.mu), logvar)


def _logvar_range(rate: float) -> tuple[float, float]:
    """The two ln sigma^2 at which mu = 0 has just this KL."""
    from scipy.special import lambertw

    edge = -math.exp(-(2.0 * rate + 1.0))
    narrow, wide = (math.log(-lambertw(edge, branch).real) for branch in (0, -1))
    return narrow, wide
