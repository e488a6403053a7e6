"""The beta-VAE."""

from dataclasses import dataclass

from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.model import Trace
from lambda_vae.objectives.elbo import ELBO
from lambda_vae.objectives.objective import Terms

__all__ = ["BetaELBO"]


@dataclass(frozen=True)
class BetaELBO:
    """-log p(x|z) + kl_weight * beta * KL(q_1 || p).

    Args:
        beta: Weight of the KL, >= 0; 1 is the ELBO.

    Raises:
        InputError: beta is negative or not a number.

    Source:
        Higgins et al. 2017, beta-VAE, Eq. 4.
    """

    beta: float

    def __post_init__(self) -> None:
        if not 0 <= self.beta < float("inf"):
            raise InputError(f"beta is {self.beta}; it must be a finite number, 0 or greater")

    def __call__(self, trace: Trace, kl_weight: float | Tensor = 1.0) -> Terms:
        """Return the terms in nats."""
        return ELBO()(trace, kl_weight * self.beta)
