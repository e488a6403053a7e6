"""The importance-weighted NLL under any proposal, with what its weights say of themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.estimation.batching import draws_per_pass, noise_dtype
from lambda_vae.estimation.log_weights import LogWeights
from lambda_vae.estimation.moments import Reading, reading_of
from lambda_vae.estimation.proposals import Proposal
from lambda_vae.estimation.tail_shape import khat, khat_limit, tail_length
from lambda_vae.model import VAE
from lambda_vae.rng import normal

__all__ = ["Weighed", "WeighedReading", "importance_weights", "read_weighed"]

#: Share of examples with a heavy tail up to which an estimate is believed: the fit of k-hat errs by as much.
_HEAVY_SHARE = 0.05


@dataclass(frozen=True, eq=False)
class Weighed:
    """The importance weights of some examples, summed.

    Args:
        weights: Their sums.
        khat: Pareto k-hat of their tail, [B].
    """

    weights: LogWeights
    khat: Float[Tensor, " B"]


@torch.no_grad()
def importance_weights(
    vae: VAE, x: Shaped[Tensor, "B F"], law: Proposal, samples: int, generator: torch.Generator | None = None
) -> Weighed:
    r"""Return the weights of K draws an example, w = p(x|z) p(z) / r(z|x).

    Args:
        vae: The model, in eval mode.
        x: The examples.
        law: r, with the density of its own draws; its support must be all of z, or the estimate is of something else.
        samples: K.
        generator: The source of chance.

    Raises:
        InputError: K is less than 1.

    Source:
        Burda et al. 2015, arXiv:1509.00519, Eq. 8.
    """
    if samples < 1:
        raise InputError(f"{samples} importance samples were asked for; use at least 1")
    p_z, weights, kept = vae.p_z(), LogWeights.empty(len(x), x.device), tail_length(samples) + 1
    largest = torch.empty(0, len(x), dtype=torch.float64, device=x.device)
    per_pass = draws_per_pass(x)
    for start in range(0, samples, per_pass):
        eps = normal((min(per_pass, samples - start), len(x), law.noise_dim), generator, x.device).to(noise_dtype(x))
        drawn = law.rsample_and_log_prob(eps)
        log_px_z = vae.decode(drawn.z).log_prob(x).double()
        log_w = log_px_z + (p_z.log_prob(drawn.z) - drawn.log_prob())
        weights = weights.fold(log_w)
        largest = torch.cat((largest, log_w))
        largest = largest.topk(min(kept, len(largest)), 0).values
    return Weighed(weights, khat(largest, samples))


@dataclass(frozen=True, eq=False)
class WeighedReading:
    """An importance-weighted NLL of a test set, and whether it may be believed.

    Args:
        proposal: What was drawn from.
        samples: K.
        nll: Nats per example; in expectation an upper bound on -ln p(x), believed or not.
        ess: Effective sample size, of K.
        khat: Median of k-hat over the examples.
        heavy: Share of the examples whose k-hat is not below the limit, or is not known.
        reasons: Why the estimate is not to be taken for -ln p(x); empty where it is.
    """

    proposal: str
    samples: int
    nll: Reading
    ess: Reading
    khat: float
    heavy: float
    reasons: tuple[str, ...]


def read_weighed(
    proposal: str,
    samples: int,
    nll: Float[Tensor, " N"],
    ess: Float[Tensor, " N"],
    khats: Float[Tensor, " N"],
) -> WeighedReading:
    """Return the reading of a whole test set."""
    limit = khat_limit(samples)
    heavy = float((~(khats < limit)).double().mean())
    return WeighedReading(
        proposal,
        samples,
        reading_of(nll, "nats per example"),
        reading_of(ess, f"of {samples} samples"),
        float(khats.double().quantile(0.5, interpolation="nearest")),
        heavy,
        tuple(_reasons(khats, samples, limit, heavy)),
    )


def _reasons(khats: Tensor, samples: int, limit: float, heavy: float) -> Sequence[str]:
    if bool(khats.isnan().all()):
        return [f"{samples} samples are too few for a tail of weights to show: use 25 at least"]
    if heavy > _HEAVY_SHARE:
        return [
            f"k-hat is {limit:.2f} or more for {heavy:.0%} of the examples: a few weights carry the sum, and the "
            "estimate is a bound that more samples would still lower"
        ]
    return []
