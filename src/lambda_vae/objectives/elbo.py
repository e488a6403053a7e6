"""The evidence lower bound."""

from dataclasses import dataclass

from torch import Tensor

from lambda_vae.model import Trace
from lambda_vae.objectives.bounds import rate, rate_q
from lambda_vae.objectives.objective import Terms

__all__ = ["ELBO", "SampledELBO"]


@dataclass(frozen=True)
class ELBO:
    """-log p(x|z) + kl_weight * KL(q_1 || p): minus the ELBO of the plain VAE.

    With an exponent in the trace z comes from q_lambda while the KL stays on q_1: the paper's loss (Eq. 10).

    Source:
        Kingma and Welling 2014, arXiv:1312.6114, Eq. 7; with an exponent the paper, Eq. 10.
    """

    def __call__(self, trace: Trace, kl_weight: float | Tensor = 1.0) -> Terms:
        """Return the terms in nats."""
        reconstruction = -trace.p_x.log_prob(trace.x)
        kl = rate_q(trace)
        return Terms(reconstruction + kl_weight * kl, reconstruction, kl)


@dataclass(frozen=True)
class SampledELBO:
    """-log p(x|z) + kl_weight * KL(q_lambda || p): minus the valid ELBO of the distribution that z is drawn from.

    Source:
        Ours, an ablation of the paper's Eq. 10: lambda then only reparametrises sigma.
    """

    def __call__(self, trace: Trace, kl_weight: float | Tensor = 1.0) -> Terms:
        """Return the terms in nats."""
        reconstruction = -trace.p_x.log_prob(trace.x)
        return Terms(reconstruction + kl_weight * rate(trace), reconstruction, rate_q(trace))
