"""What every posterior is: a module from the encoder's output to a distribution of z."""

from abc import abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from lambda_vae.distributions import PosteriorDistribution

__all__ = ["Posterior"]


class Posterior(nn.Module):
    """A map from the encoder's output h to q(z|x).

    Args:
        latent_dim: D.
        mixing_dim: How many numbers of noise q itself depends on, besides h; 0 unless q is implicit.

    Attributes:
        reads_encoder: Whether q depends on h at all; else there is nothing to train the encoder for.
    """

    reads_encoder: bool = True

    def __init__(self, latent_dim: int, mixing_dim: int = 0) -> None:
        super().__init__()
        self.latent_dim, self.mixing_dim = latent_dim, mixing_dim

    @abstractmethod
    def forward(self, h: Float[Tensor, "B H"], xi: Float[Tensor, "B X"] | None = None) -> PosteriorDistribution:
        """Return q(z|x).

        Args:
            h: The encoder's output.
            xi: Noise of an implicit q: the distribution is then the one Gaussian that xi picks. Without it, a
                distribution with a density takes the place of q.
        """
        raise NotImplementedError
