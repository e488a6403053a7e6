"""What the corridor asks of a law of z: of any prior, and of any posterior."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions.draw import Draw
from lambda_vae.distributions.gaussian import DiagGaussian

__all__ = ["Density", "Law"]


@runtime_checkable
class Density(Protocol):
    """A law of z whose density is known and which can be drawn from: all that a prior has to be."""

    @property
    def noise_dim(self) -> int:
        """How many standard normal numbers make one draw; D but for mixtures."""

    def rsample(self, eps: Float[Tensor, "*sample noise"]) -> Float[Tensor, "*sample D"]:
        """Return draws made of standard normal noise."""

    def log_prob(self, z: Float[Tensor, "*sample D"]) -> Float[Tensor, "*sample_batch"]:
        """Log density at z in nats."""

    def marginals(self) -> DiagGaussian:
        """The diagonal Gaussian with the law's own means and variances, dimension by dimension."""


@runtime_checkable
class Law(Density, Protocol):
    """A posterior q(z|x).

    `mu` and `logvar` belong to its Gaussian part, which lambda acts on: the law itself if it is Gaussian, the base of a
    flow.
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

    def draw(self, eps: Float[Tensor, "*sample noise"]) -> Draw:
        """Return draws with their own log density, which a flow knows only on its way."""

    def with_logvar(self, logvar: Float[Tensor, "B D"]) -> "Law":
        """Return the same law with another ln sigma^2 in its Gaussian part."""
