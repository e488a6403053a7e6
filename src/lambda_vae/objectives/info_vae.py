"""The InfoVAE, with the MMD as its divergence."""

from dataclasses import dataclass, field

from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.model import Trace
from lambda_vae.objectives.bounds import rate_q
from lambda_vae.objectives.mmd import RBF, Kernel, mmd_from_prior
from lambda_vae.objectives.objective import Terms

__all__ = ["InfoVAE"]


@dataclass(frozen=True)
class InfoVAE:
    r"""-log p(x|z) + kl_weight * ((1 - alpha) KL(q_1 || p) + (alpha + lambda - 1) MMD^2(aggregate of q, p)).

    The MMD is that of the z that the decoder gets. It has no unit and is a number of the whole batch, added to each
    example; its weight is in nats an example.

    Args:
        alpha: How far the KL is taken back, <= 1; 1 leaves the MMD alone.
        info_lambda: Weight of the aggregate's distance from the prior, >= 1 - alpha; not the exponent of the
            lambda-VAE. alpha = 0 and lambda = 1 are the ELBO.
        kernel: Of the MMD.

    Raises:
        InputError: A weight is negative or not finite; when called, a batch of one example.

    Source:
        Zhao et al. 2019, arXiv:1706.02262, Eq. 6. Deviation: the batch is the one at hand, on several processes each
        one's own.
    """

    alpha: float
    info_lambda: float
    kernel: Kernel = field(default_factory=RBF)

    draws_prior = whole_batch = True

    def __post_init__(self) -> None:
        if not -float("inf") < self.alpha <= 1:
            raise InputError(f"info_alpha is {self.alpha}; it must be a finite number, 1 or less")
        if not 0 <= self.alpha + self.info_lambda - 1 < float("inf"):
            raise InputError(
                f"info_lambda is {self.info_lambda}; it must be a finite number, 1 - info_alpha = {1 - self.alpha:g} "
                "or greater"
            )

    def __call__(self, trace: Trace, kl_weight: float | Tensor = 1.0) -> Terms:
        """Return the terms in nats; `kl_weight` scales all that pulls towards the prior, whose noise it brings."""
        reconstruction = -trace.p_x.log_prob(trace.x)
        kl = rate_q(trace)
        mmd = mmd_from_prior(trace, self.kernel)
        pull = (1.0 - self.alpha) * kl + (self.alpha + self.info_lambda - 1.0) * mmd
        return Terms(reconstruction + kl_weight * pull, reconstruction, kl)
