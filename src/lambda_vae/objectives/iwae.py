"""The importance-weighted autoencoder, with doubly reparametrised gradients."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions import DiagGaussian, PosteriorDistribution
from lambda_vae.errors import InputError
from lambda_vae.model import Trace
from lambda_vae.objectives.bounds import rate_q
from lambda_vae.objectives.objective import Terms

__all__ = ["IWAE"]


@dataclass(frozen=True)
class IWAE:
    r"""-log mean_k w_k over the K samples of each example, a bound on -log p(x) that tightens with K.

    .. math:: \ln w_k = \log p(x|z_k) + \text{kl\_weight} \, (\log p(z_k) - \log q(z_k|x)), \quad z_k \sim q

    q is the distribution really sampled. Each of an example's K losses is the bound of the example: their mean is its
    value and has its gradient. Decoder and prior get the gradient of the value itself, in which sample k counts with
    its share s_k = w_k / sum w. The encoder gets the doubly reparametrised one, which has the same mean and whose noise
    does not drown it as K grows: q's parameters are taken as given inside log q, and the gradient that arrives at z_k
    is multiplied by s_k once more (by 1 - kl_weight + kl_weight * s_k under a schedule, by the same derivation).

    That factor acts on what comes from this loss in a backward pass of its own: do not add another loss of the same
    trace to it.

    Source:
        Burda et al. 2016, arXiv:1509.00519, Eq. 8; Tucker et al. 2019, arXiv:1810.04152, Eq. 8. Deviation: the factor
        for a kl_weight other than 1 is ours.
    """

    def __call__(self, trace: Trace, kl_weight: float | Tensor = 1.0) -> Terms:
        """Return the terms in nats.

        Args:
            trace: One pass of a VAE, K samples for each example.
            kl_weight: The schedule's factor on log p(z) - log q(z|x).

        Raises:
            InputError: The posterior is no diagonal Gaussian.
        """
        log_px_z, z = trace.p_x.log_prob(trace.x), trace.drawn.z
        log_ratio = trace.p_z.log_prob(z) - _given(trace.q_sampled).log_prob(z)
        log_w = log_px_z + kl_weight * log_ratio
        share = log_w.detach().softmax(0)
        loss = (math.log(len(log_w)) - log_w.logsumexp(0)).expand_as(log_w)
        _multiply_gradient(z, 1.0 - kl_weight + kl_weight * share, of=loss)
        with torch.no_grad():
            kl = rate_q(trace)  # for the records
        return Terms(loss, -log_px_z, kl, weight=len(log_w) * share)


def _given(q: PosteriorDistribution) -> DiagGaussian:
    """The same distribution with its parameters taken as given."""
    if not isinstance(q, DiagGaussian):
        raise InputError(
            f"iwae needs a diagonal Gaussian posterior, whose parameters it can hold fixed, and {type(q).__name__} is "
            "none; leave out iwae and train on its ELBO"
        )
    return DiagGaussian(q.mu.detach(), q.logvar.detach())


def _multiply_gradient(z: Float[Tensor, "K B D"], factor: Float[Tensor, "K B"], *, of: Tensor) -> None:
    """Multiply what arrives at z in a backward pass through `of`, and in no other."""
    if not (z.requires_grad and of.requires_grad):
        return
    passed: list[bool] = []
    of.register_hook(lambda _: passed.append(True))  # type: ignore[no-untyped-call]
    z.register_hook(lambda grad: grad * factor[..., None] if passed and passed.pop() else None)  # type: ignore[no-untyped-call]
