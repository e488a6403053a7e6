"""The one rule about likelihoods: the valid bound, the paper's quantity, and what lies between them."""

from jaxtyping import Float
from torch import Tensor

from lambda_vae.model import Trace

__all__ = ["excess_kl", "nll_bound", "surrogate_nll"]


def nll_bound(trace: Trace) -> Float[Tensor, "K B"]:
    """-log p(x|z) + KL(q_lambda || p): minus the ELBO of the law really sampled.

    In expectation an upper bound on -log p(x), whatever the exponent.

    Args:
        trace: One pass of a VAE.

    Returns:
        Nats per sample and example, lower is better.

    Source:
        Kingma and Welling 2014, arXiv:1312.6114, Eq. 3, at q_lambda.
    """
    return trace.q_sampled.kl(trace.p_z) - trace.p_x.log_prob(trace.x)


def surrogate_nll(trace: Trace) -> Float[Tensor, "K B"]:
    """-log p(x|z) + KL(q_1 || p) with z drawn from q_lambda: the paper's "NLL", which is not a bound on -log p(x).

    Args:
        trace: One pass of a VAE.

    Returns:
        Nats per sample and example; equal to `nll_bound` where there is no exponent.

    Source:
        The paper, Eq. 10.
    """
    return trace.q.kl(trace.p_z) - trace.p_x.log_prob(trace.x)


def excess_kl(trace: Trace) -> Float[Tensor, " B"]:
    """KL(q_lambda || p) - KL(q_1 || p), >= 0: what the surrogate leaves out.

    Args:
        trace: One pass of a VAE.

    Returns:
        Nats per example.

    Source:
        The paper, Eq. 14, summed over the dimensions.
    """
    return trace.q_sampled.kl(trace.p_z) - trace.q.kl(trace.p_z)
