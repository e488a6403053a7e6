"""Free bits: a KL below a floor costs nothing."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lambda_vae.distributions import DiagGaussian
from lambda_vae.errors import InputError
from lambda_vae.model import Trace
from lambda_vae.objectives.objective import Terms

__all__ = ["FreeBits"]


@dataclass(frozen=True)
class FreeBits:
    r"""-log p(x|z) + kl_weight * the sum over groups of dimensions of max(free_bits, batch mean of the group's KL).

    A group whose mean KL lies below the floor costs the floor and gets no gradient from its KL. Example by example, a
    group above the floor costs its own KL: the mean over the batch, and its gradient, are those of the formula, and
    with a floor of 0 every single loss is the ELBO's.

    Args:
        latent_dim: D.
        free_bits: The floor of each group, nats, >= 0; 0 is the ELBO.
        group: Neighbouring dimensions that share a floor; divides D.

    Raises:
        InputError: The floor is negative or not finite, or the groups do not come out even; when called, a posterior
            or prior is no diagonal Gaussian.

    Source:
        Kingma et al. 2016, arXiv:1606.04934, Appendix C.8, Eq. 15. Deviation: the batch is the one at hand, on several
        processes each one's own.
    """

    latent_dim: int
    free_bits: float
    group: int = 1

    whole_batch = True

    def __post_init__(self) -> None:
        if not 0 <= self.free_bits < float("inf"):
            raise InputError(f"free_bits is {self.free_bits}; it must be a finite number of nats, 0 or greater")
        if self.group < 1 or self.latent_dim % self.group:
            raise InputError(
                f"free_bits_group is {self.group}, which does not divide the {self.latent_dim} latent dimensions; "
                "use one that does, such as 1"
            )

    def __call__(self, trace: Trace, kl_weight: float | Tensor = 1.0) -> Terms:
        """Return the terms in nats; posterior and prior are diagonal Gaussians, and `kl_weight` scales floors too."""
        q, p = trace.q, trace.p_z
        if not (isinstance(q, DiagGaussian) and isinstance(p, DiagGaussian)):
            raise InputError(
                f"free-bits needs the KL of every dimension, which {type(q).__name__} and {type(p).__name__} do not "
                "give; use target-rate"
            )
        reconstruction = -trace.p_x.log_prob(trace.x)
        kl = q.kl_per_dim(p)
        groups = kl.view(-1, self.latent_dim // self.group, self.group).sum(-1)
        floored = torch.where(groups.mean(0) >= self.free_bits, groups, self.free_bits)
        return Terms(reconstruction + kl_weight * floored.sum(-1), reconstruction, kl.sum(-1))
