"""What every objective takes and gives."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from lambda_vae.model import Trace

__all__ = ["Objective", "Terms"]


@dataclass(frozen=True, eq=False)
class Terms:
    """The parts of a loss, in nats for each sample and example; the training loop alone takes their mean.

    Args:
        loss: What is minimised, [K, B].
        reconstruction: -log p(x|z), [K, B].
        rate_q: KL(q_1 || p), [B].
    """

    loss: Float[Tensor, "K B"]
    reconstruction: Float[Tensor, "K B"]
    rate_q: Float[Tensor, " B"]


@runtime_checkable
class Objective(Protocol):
    """A map from a trace to the terms of a loss."""

    def __call__(self, trace: Trace, kl_weight: float | Tensor = 1.0) -> Terms:
        """Return the terms.

        Args:
            trace: One pass of a VAE.
            kl_weight: What the schedule puts in front of the KL at this step.
        """
