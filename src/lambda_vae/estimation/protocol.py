"""What the estimators ask of a model: ours, or anybody's behind two callables."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions import Density, PosteriorDistribution
from lambda_vae.distributions.base import LikelihoodDistribution
from lambda_vae.equalization import Equalization

__all__ = ["LatentVariableModel"]


@runtime_checkable
class LatentVariableModel(Protocol):
    """A model whose code is [B, D] and whose data are whatever `encode` takes, examples along the first axis."""

    @property
    def equalization(self) -> Equalization:
        """Q_1(z|x) -> q_lambda(z|x)."""

    @property
    def decoder(self) -> Callable[[Tensor], Tensor]:
        """Z [N, D] -> theta."""

    @property
    def likelihood(self) -> Callable[[Tensor], LikelihoodDistribution] | None:
        """Theta -> p(x|z) of examples flattened to [N, F]; None where p(x|z) is known by its value alone."""

    @property
    def latent_dim(self) -> int:
        """D."""

    def encode(self, x: Tensor) -> PosteriorDistribution:
        """Return q_1(z|x)."""

    def p_z(self) -> Density:
        """Return the prior."""

    def decode(self, z: Float[Tensor, "*batch D"]) -> LikelihoodDistribution:
        """Return p(x|z)."""
