"""Real numbers: Gaussian and Laplace features."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae import distributions
from lambda_vae.distributions import DiagGaussian
from lambda_vae.distributions.base import at_least_float32
from lambda_vae.errors import InputError
from lambda_vae.likelihoods.base import Decode, DecoderLikelihood

__all__ = ["Gaussian", "Laplace", "gaussian", "laplace", "positive", "spread_over"]


class Gaussian(DecoderLikelihood):
    """Log-likelihood of independent Gaussian features, N(decode(z), std^2).

    Args:
        decode: z -> the means, of as many numbers as x.
        std: Noise of the observation, one number or one a feature; 1 belongs to half the summed squared error,
            sqrt(1/2) to the summed squared error, and `std_of_kl_weight` says which to a mean or to a weighted KL.

    Raises:
        InputError: std is not greater than 0.

    Example:
        >>> log_likelihood = gaussian(lambda z: z, std=0.5)
        >>> x = torch.tensor([[0.0, 1.0]])
        >>> torch.allclose(log_likelihood(x, x), 2 * torch.distributions.Normal(0.0, 0.5).log_prob(torch.zeros(1)))
        True
    """

    family = "Gaussian"

    def __init__(self, decode: Decode, *, std: float | Tensor = 1.0) -> None:
        super().__init__(decode)
        self.std = positive("std", std)

    def observation(self, theta: Float[Tensor, "B F"]) -> DiagGaussian:
        """Return N(theta, std^2)."""
        return DiagGaussian(theta, 2.0 * spread_over("std", self.std, theta).log())


class Laplace(DecoderLikelihood):
    """Log-likelihood of independent Laplace features, whose loss is the absolute error.

    Args:
        decode: z -> the locations, of as many numbers as x.
        scale: b, one number or one a feature; 1 belongs to the summed absolute error, F to its mean over F features.

    Raises:
        InputError: scale is not greater than 0.

    Example:
        >>> x = torch.tensor([[0.0, 1.0]])
        >>> laplace(lambda z: z, scale=0.5)(x, x + 0.5)
        tensor([-2.])
    """

    family = "Laplace"

    def __init__(self, decode: Decode, *, scale: float | Tensor = 1.0) -> None:
        super().__init__(decode)
        self.scale = positive("scale", scale)

    def observation(self, theta: Float[Tensor, "B F"]) -> distributions.Laplace:
        """Return Laplace(theta, scale)."""
        return distributions.Laplace(theta, spread_over("scale", self.scale, theta))


gaussian, laplace = Gaussian, Laplace


def positive(name: str, value: float | Tensor) -> Float[Tensor, " n"]:
    """Return a scale as rows, detached.

    Raises:
        InputError: One is not greater than 0.
    """
    scale = at_least_float32(
        torch.as_tensor(value, dtype=None if isinstance(value, Tensor) else torch.float32).detach()
    )
    if not bool(((scale > 0) & (scale < math.inf)).all()):
        raise InputError(f"{name} is {value}; it must be greater than 0")
    return scale.flatten()


def spread_over(name: str, scale: Float[Tensor, " n"], theta: Float[Tensor, "B F"]) -> Float[Tensor, " F"]:
    """Return one number for each feature of theta, on its device.

    Raises:
        InputError: As many as neither.
    """
    features = theta.shape[-1]
    if len(scale) not in (1, features):
        raise InputError(f"{name} has {len(scale)} numbers for {features} features; give one, or one a feature")
    return scale.to(theta.device).expand(features)
