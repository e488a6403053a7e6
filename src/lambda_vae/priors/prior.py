"""What every prior is: a module that returns a distribution of z."""

from abc import abstractmethod
from collections.abc import Callable

from jaxtyping import Shaped
from torch import Tensor, nn

from lambda_vae.deprecated import old_name
from lambda_vae.distributions import Density, PosteriorDistribution

__all__ = ["Prior"]


class Prior(nn.Module):
    """A distribution of z whose parameters may be learned."""

    def init_from_data(self, x: Shaped[Tensor, "N F"]) -> None:
        """Initialise from some data before training; most priors have no use for it.

        Args:
            x: As the model sees it.
        """
        if (meet := getattr(self, "meet", None)) is not None:
            old_name(f"{type(self).__name__}.meet", "init_from_data")
            meet(x)

    @abstractmethod
    def forward(self, encode: Callable[[Tensor], PosteriorDistribution]) -> Density:
        """Return p(z).

        Args:
            encode: Data to posteriors, for a prior that is made of some.
        """
        raise NotImplementedError
