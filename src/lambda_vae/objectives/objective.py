"""The protocol of objectives: a trace in, terms out."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
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
        rate_q: KL(q_1 || p), [B]; [K, B] where it is a Monte Carlo estimate.
        weight: How much each sample's -log p(x|z) counts in its loss, [K, B], a mean of 1 over the samples; None where
            each counts 1.
    """

    loss: Float[Tensor, "K B"]
    reconstruction: Float[Tensor, "K B"]
    rate_q: Float[Tensor, "*K B"]
    weight: Float[Tensor, "K B"] | None = None

    def dlogp_dz(self, gradient: Float[Tensor, "K B D"]) -> Float[Tensor, "K B D"]:
        """Return d log p(x|z)/dz of each sample by itself.

        Args:
            gradient: Of the mean loss, as it arrives at the z of a trace.
        """
        own = gradient * -float(self.loss.numel())
        if self.weight is None:
            return own
        # A weight that underflowed leaves a gradient of 0, which 0 / tiny keeps.
        return own / self.weight.clamp(min=torch.finfo(own.dtype).tiny)[..., None]


@runtime_checkable
class Objective(Protocol):
    """A map from a trace to the terms of a loss.

    An objective that needs draws from the prior has an attribute `draws_prior` that is true; its traces then hold noise
    for them, `prior_eps`. One whose loss is not a mean over examples, so that parts of a batch do not add up to the
    whole, has `whole_batch`.
    """

    def __call__(self, trace: Trace, kl_weight: float | Tensor = 1.0) -> Terms:
        """Return the terms.

        Args:
            trace: One pass of a VAE.
            kl_weight: The schedule's factor on the KL at this step.
        """
