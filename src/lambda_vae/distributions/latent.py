"""The protocols of a distribution of z: that of every prior, and that of every posterior."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions.base import Sample
from lambda_vae.distributions.gaussian import DiagGaussian

__all__ = ["Density", "PosteriorDistribution"]


@runtime_checkable
class Density(Protocol):
    """A distribution of z whose density is known and which can be drawn from: all that a prior has to be."""

    @property
    def noise_dim(self) -> int:
        """How many standard normal numbers make one draw; D but for mixtures."""

    def rsample(self, eps: Float[Tensor, "*sample noise"]) -> Float[Tensor, "*sample D"]:
        """Return draws made of standard normal noise.

        Args:
            eps: Standard normal, [K, ..., noise_dim]; all randomness is in here.
        """

    def log_prob(self, z: Float[Tensor, "*sample D"]) -> Float[Tensor, "*sample_batch"]:
        """Return the log density at z in nats, summed over D.

        Args:
            z: Points, [..., D]; broadcast against the parameters.
        """

    def marginals(self) -> DiagGaussian:
        """Return the diagonal Gaussian with the distribution's own means and variances, dimension by dimension."""


@runtime_checkable
class PosteriorDistribution(Density, Protocol):
    """A posterior q(z|x).

    `mu` and `logvar` belong to its Gaussian part, which lambda acts on: the distribution itself if it is Gaussian, the
    base of a flow.
    """

    @property
    def mu(self) -> Float[Tensor, "B D"]:
        """Means of the Gaussian part."""

    @property
    def logvar(self) -> Float[Tensor, "B D"]:
        """Ln sigma^2 of the Gaussian part."""

    @property
    def std(self) -> Float[Tensor, "B D"]:
        """Sigma of the Gaussian part."""

    def rsample_and_log_prob(self, eps: Float[Tensor, "*sample noise"]) -> Sample:
        """Return draws with their own log density, which a flow knows only on its way.

        Args:
            eps: As for `rsample`.
        """

    def with_logvar(self, logvar: Float[Tensor, "B D"]) -> "PosteriorDistribution":
        """Return the same distribution with another ln sigma^2 in its Gaussian part.

        Args:
            logvar: ln sigma^2 that it gets.
        """
