"""The Wasserstein autoencoder, with the MMD as its penalty."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.model import Trace
from lambda_vae.objectives.bounds import rate_q
from lambda_vae.objectives.mmd import IMQ, Kernel, mmd_from_prior
from lambda_vae.objectives.objective import Terms

__all__ = ["WAE"]

#: Of the authors' published code; the paper itself names the one in the middle.
_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class WAE:
    r"""-log p(x|z) + kl_weight * weight * MMD^2(aggregate of q, p), and no KL.

    The cost of a reconstruction is -log p(x|z), in nats, so that the method differs from the others in its penalty
    alone; the encoder is a Gaussian's, so that q(z|x) has a density and the model a bound. The squared MMD is a number
    of the whole batch without unit (at most twice the number of scales), added to each example: `weight` says how many
    nats an example one unit of it costs. The authors' 10 goes with 0.05 |x - G(z)|^2; a squared error is a Gaussian
    cost in nats (variance 1/2), with which it is 10 / 0.05 = 200.

    Args:
        weight: Nats per unit of squared MMD, >= 0.
        kernel: Of the MMD; an inverse multiquadric summed over seven scales.

    Raises:
        InputError: The weight is negative or not finite; when called, a batch of one example.

    Source:
        Tolstikhin et al. 2018, arXiv:1711.01558, Algorithm 2; scales and weight of the authors' code (tolstikhin/wae).
        Deviations: -log p(x|z) as cost, a random encoder, and on several processes each one's own batch.
    """

    weight: float
    kernel: Kernel = field(default_factory=lambda: IMQ(_SCALES))

    draws_prior = whole_batch = True

    def __post_init__(self) -> None:
        if not 0 <= self.weight < float("inf"):
            raise InputError(f"wae_weight is {self.weight}; it must be a finite number, 0 or greater")

    def __call__(self, trace: Trace, kl_weight: float | Tensor = 1.0) -> Terms:
        """Return the terms in nats; `kl_weight` scales the penalty, for which the trace has noise."""
        reconstruction = -trace.p_x.log_prob(trace.x)
        mmd = mmd_from_prior(trace, self.kernel)
        with torch.no_grad():
            kl = rate_q(trace)  # for the records
        return Terms(reconstruction + kl_weight * self.weight * mmd, reconstruction, kl)
