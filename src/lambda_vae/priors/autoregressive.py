"""The prior of the delta-VAE whose dimensions follow one another."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lambda_vae.distributions import AutoregressiveGaussian, PosteriorDistribution
from lambda_vae.errors import InputError
from lambda_vae.priors.prior import Prior

__all__ = ["AutoregressivePrior"]

#: ln(1 - alpha^2) at the least: nearer to 1 float32 has no digits left for what a dimension has of its own.
_LEAST_INNOVATION = math.log(1e-4)


class AutoregressivePrior(Prior):
    """p(z): z_i = alpha z_(i-1) + sqrt(1 - alpha^2) eps_i, alpha so that no diagonal Gaussian is nearer than a rate.

    Args:
        latent_dim: D.
        rate: KL(q || p) of the nearest diagonal Gaussian q, in nats a dimension; 0 gives N(0, I).

    Raises:
        InputError: The rate is out of reach of so many dimensions.

    Source:
        Razavi et al. 2019, arXiv:1901.03416, section 2.2.

    Example:
        >>> float(AutoregressivePrior(2, rate=0.5).alpha[1])  # KL = -ln(1 - alpha^2)/2 for two dimensions
        0.9298...
    """

    alpha: Tensor

    def __init__(self, latent_dim: int, rate: float = 0.1) -> None:
        super().__init__()
        log_innovation = _log_innovation(latent_dim, rate)
        alpha = torch.full((latent_dim,), math.sqrt(-math.expm1(log_innovation)))
        alpha[0] = 0.0
        self.register_buffer("alpha", alpha, persistent=False)

    def forward(self, encode: Callable[[Tensor], PosteriorDistribution]) -> AutoregressiveGaussian:
        """Return p(z); it is not made of posteriors."""
        return AutoregressiveGaussian(self.alpha)


def _log_innovation(dim: int, rate: float) -> float:
    """ln(1 - alpha^2) at which the least KL is the rate."""
    from scipy.optimize import brentq

    most = AutoregressiveGaussian.least_kl(_LEAST_INNOVATION, dim) / dim if dim > 1 else 0.0
    if not 0 <= rate <= most:
        raise InputError(
            f"committed_rate is {rate} nats a dimension; an AR(1) prior of {dim} dimensions can commit to 0 to "
            f"{math.floor(1000 * most) / 1000}; use committed_form independent for more"
        )
    if rate == 0:
        return 0.0
    return float(brentq(lambda log: AutoregressiveGaussian.least_kl(log, dim) - rate * dim, _LEAST_INNOVATION, 0.0))
