"""A Gaussian pushed through an invertible map."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.deprecated import OldDraw
from lambda_vae.distributions.base import Sample
from lambda_vae.distributions.gaussian import DiagGaussian

__all__ = ["Bijection", "Inverse", "TransformedDistribution"]

#: Least pairs of points behind the marginals.
_PAIRS = 32


@runtime_checkable
class Bijection(Protocol):
    """An invertible map of z; either direction comes with the logarithm of its volume change."""

    def forward(self, z: Float[Tensor, "*sample D"]) -> tuple[Tensor, Tensor]:
        """Return y, [..., D], and ln |dy/dz|, [...]."""

    def inverse(self, y: Float[Tensor, "*sample D"]) -> tuple[Tensor, Tensor]:
        """Return z, [..., D], and ln |dz/dy|, [...]."""


@dataclass(frozen=True, eq=False)
class Inverse:
    """A bijection the other way round.

    Args:
        bijection: Whose inverse this one's forward is.
    """

    bijection: Bijection

    def forward(self, z: Float[Tensor, "*sample D"]) -> tuple[Tensor, Tensor]:
        """Return the inverse of the original at z."""
        return self.bijection.inverse(z)

    def inverse(self, y: Float[Tensor, "*sample D"]) -> tuple[Tensor, Tensor]:
        """Return the original at y."""
        return self.bijection.forward(y)


@dataclass(frozen=True, eq=False)
class TransformedDistribution(OldDraw):
    """The distribution of y = f(z), z from a diagonal Gaussian.

    `mu`, `logvar` and `std` are those of the base, and so is the noise that lambda acts on.

    Args:
        base: Parameters of shape [B, D], or [D].
        bijection: f.
    """

    base: DiagGaussian
    bijection: Bijection

    @property
    def mu(self) -> Float[Tensor, "*batch D"]:
        """Means of the base, [..., D]."""
        return self.base.mu

    @property
    def logvar(self) -> Float[Tensor, "*batch D"]:
        """Ln sigma^2 of the base, [..., D]."""
        return self.base.logvar

    @property
    def std(self) -> Float[Tensor, "*batch D"]:
        """Sigma of the base, [..., D]."""
        return self.base.std

    @property
    def noise_dim(self) -> int:
        """D: one number a dimension."""
        return self.base.noise_dim

    def with_logvar(self, logvar: Float[Tensor, "*batch D"]) -> "TransformedDistribution":
        """Return the image of N(mu, exp(logvar)) under the same map."""
        return self if logvar is self.logvar else TransformedDistribution(self.base.with_logvar(logvar), self.bijection)

    def rsample(self, eps: Float[Tensor, "*sample D"]) -> Float[Tensor, "*sample D"]:
        """Return f(mu + sigma * eps)."""
        return self.bijection.forward(self.base.rsample(eps))[0]

    def rsample_and_log_prob(self, eps: Float[Tensor, "*sample D"]) -> Sample:
        """Return `rsample(eps)` with its log density, which the same pass through f gives: nothing is inverted."""
        start = self.base.rsample_and_log_prob(eps)
        z, log_volume = self.bijection.forward(start.z)
        return Sample(z, lambda: start.log_prob() - log_volume)

    def log_prob(self, z: Float[Tensor, "*sample D"]) -> Float[Tensor, "*sample_batch"]:
        """Return the log density at z in nats, by way of the inverse."""
        start, log_volume = self.bijection.inverse(z)
        return self.base.log_prob(start) + log_volume

    @cached_property
    def _marginals(self) -> DiagGaussian:
        eps = _fixed_noise(self.noise_dim).to(self.mu)
        z = self.rsample(eps.view(-1, *(1,) * (self.mu.ndim - 1), self.noise_dim).expand(-1, *self.mu.shape))
        return DiagGaussian(z.mean(0), torch.log(z.var(0, unbiased=False)))

    def marginals(self) -> DiagGaussian:
        """Return the diagonal Gaussian with the distribution's own means and variances, as fixed points measure them.

        The points are the same for every example, so that a dimension in which all examples have one distribution shows
        no spread of its means; and their first two moments are those of N(0, I), so that an affine f gives no error.
        """
        return self._marginals


@lru_cache
def _fixed_noise(dim: int) -> Float[Tensor, "N D"]:
    """Points of mean 0 and covariance I, every one with its negative; float64."""
    pairs = max(_PAIRS, dim)
    drawn = torch.randn(pairs, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    half = torch.linalg.qr(drawn).Q * pairs**0.5
    return torch.cat((half, -half))
