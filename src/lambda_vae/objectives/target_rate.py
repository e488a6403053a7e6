"""The beta-VAE with controlled capacity."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.model import Trace
from lambda_vae.objectives.bounds import rate_q
from lambda_vae.objectives.objective import Terms

__all__ = ["TargetRate"]


@dataclass(frozen=True)
class TargetRate:
    r"""-log p(x|z) + gamma * |KL(q_1 || p) - C|, where C = kl_weight * target_rate.

    C has to rise over training, and only the schedule's weight follows the position in training: here it does not weigh
    the KL but is the part of the target that is reached by now. A linear warm-up is the paper's schedule.

    The KL is the mean over the batch (and over samples, where it is a Monte Carlo estimate), as in the paper, whose KL
    stands inside the expectation over the data: an absolute value of each example's own would force the same rate on
    easy and hard examples, and would count a Monte Carlo estimate's noise as distance. Example by example the loss is
    +-(KL - C) with the sign of the batch, which has the same mean and gradient.

    Args:
        target_rate: Last C, nats, >= 0.
        gamma: Weight of the distance, >= 0; 1 with a target of 0 is the ELBO.

    Raises:
        InputError: Either is negative or not finite.

    Source:
        Burgess et al. 2018, arXiv:1804.03599, Eq. 8. Deviation: the batch is the one at hand, on several processes
        each one's own.
    """

    target_rate: float
    gamma: float

    whole_batch = True

    def __post_init__(self) -> None:
        for name, value in (("target_rate", self.target_rate), ("target_gamma", self.gamma)):
            if not 0 <= value < float("inf"):
                raise InputError(f"{name} is {value}; it must be a finite number, 0 or greater")

    def __call__(self, trace: Trace, kl_weight: float | Tensor = 1.0) -> Terms:
        """Return the terms in nats; `kl_weight` is the part of the target that is reached by now."""
        reconstruction = -trace.p_x.log_prob(trace.x)
        kl = rate_q(trace)
        distance = kl - kl_weight * self.target_rate
        side = torch.sign(distance.detach().mean())
        return Terms(reconstruction + self.gamma * side * distance, reconstruction, kl)
