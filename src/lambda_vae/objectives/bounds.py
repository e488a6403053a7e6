"""The one rule about likelihoods: the valid bound, the paper's quantity, and what lies between them.

A rate is a KL from the prior. Where it has a closed form, that is taken; else its Monte Carlo estimate from the draws
at hand, which has the same mean.
"""

from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions import kl_or_ratio
from lambda_vae.model import Trace

__all__ = ["excess_kl", "nll_bound", "rate", "rate_q", "surrogate_nll"]


def rate(trace: Trace) -> Float[Tensor, "*K B"]:
    """Return KL(q_lambda || p), of the q that z is drawn from, in nats: [B] in closed form, else [K, B] from its draws.

    Args:
        trace: One pass of a VAE.
    """
    return kl_or_ratio(trace.q_sampled, trace.p_z, trace.drawn)


def rate_q(trace: Trace) -> Float[Tensor, "*K B"]:
    """Return KL(q_1 || p), which the paper's loss penalises, in nats: [B] in closed form, else [K, B].

    Without a closed form, q_1 is drawn from with the same noise as q_lambda: one eps, two samples.

    Args:
        trace: One pass of a VAE.
    """
    drawn = trace.drawn if trace.q_sampled is trace.q else trace.q.rsample_and_log_prob(trace.eps)
    return kl_or_ratio(trace.q, trace.p_z, drawn)


def nll_bound(trace: Trace) -> Float[Tensor, "K B"]:
    """-log p(x|z) + KL(q_lambda || p): minus the ELBO of the distribution that z is drawn from.

    In expectation an upper bound on -log p(x), for every exponent.

    Args:
        trace: One pass of a VAE.

    Returns:
        Nats per sample and example, lower is better.

    Source:
        Kingma and Welling 2014, arXiv:1312.6114, Eq. 3, at q_lambda.
    """
    return rate(trace) - trace.p_x.log_prob(trace.x)


def surrogate_nll(trace: Trace) -> Float[Tensor, "K B"]:
    """-log p(x|z) + KL(q_1 || p) with z drawn from q_lambda: the paper's "NLL", which is not a bound on -log p(x).

    Args:
        trace: One pass of a VAE.

    Returns:
        Nats per sample and example; equal to `nll_bound` where there is no exponent.

    Source:
        The paper, Eq. 10.
    """
    return rate_q(trace) - trace.p_x.log_prob(trace.x)


def excess_kl(trace: Trace) -> Float[Tensor, "*K B"]:
    """KL(q_lambda || p) - KL(q_1 || p), >= 0: what the surrogate leaves out.

    Args:
        trace: One pass of a VAE.

    Returns:
        Nats per example.

    Source:
        The paper, Eq. 14, summed over the dimensions.
    """
    return rate(trace) - rate_q(trace)
