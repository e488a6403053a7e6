"""H[Z] with and without lambda: the paper's information gain, and the assumption behind it, measured."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.estimation.aggregate import PAIRS_PER_PASS, OwnAndOthers, densities, noises, why_unusable
from lambda_vae.estimation.estimate import Estimate
from lambda_vae.estimation.gaussian_bound import gaussian_entropy

__all__ = ["EntropyBounds", "InformationGain", "aggregate_entropy", "measured_information_gain"]


@dataclass(frozen=True)
class EntropyBounds:
    """H[Z] of the aggregate posterior, differential, in nats: one estimate from below, two from above.

    Args:
        lower: Own posterior within the mixture: H of the data set's own q(z), at most H[Z|X] + ln N.
        upper: Own posterior left out.
        gaussian: That of the Gaussian with the same covariance.
    """

    lower: Estimate
    upper: Estimate
    gaussian: Estimate

    @classmethod
    def of(cls, found: OwnAndOthers, mu: Float[Tensor, "N D"], logvar: Float[Tensor, "N D"]) -> "EntropyBounds":
        """Return the entropy that draws at hand give.

        Args:
            found: Their densities.
            mu: Posterior means.
            logvar: ln sigma^2 of the law that was drawn from.
        """
        lower, upper = (Estimate.over_examples(-log_q) for log_q in (found.aggregate, found.others))
        return cls(lower, upper, gaussian_entropy(mu, logvar))

    @property
    def at_most(self) -> Estimate:
        """The lesser of the two upper bounds."""
        return min(self.upper, self.gaussian, key=lambda bound: bound.value)


@dataclass(frozen=True)
class InformationGain:
    """I(X;Z_lambda) - I(X;Z_1), and what Eq. 12 makes of it by taking H[Z_lambda] for H[Z].

    gain = predicted + entropy_change holds exactly, for the values as they stand here: those of the data set's own
    q(z). Of the law behind the data they say little once I(X;Z) nears ln N; for that there are the bounds.

    Args:
        entropy: H[Z], z from q_1.
        entropy_sampled: H[Z_lambda], z from the law really sampled, with the same noise.
        entropy_change: H[Z_lambda] - H[Z]: 0 is what Eq. 12 assumes.
        predicted: Eq. 12, H[Z|X] - H[Z_lambda|X].
        gain: Measured.
        entropy_change_at_most: H[Z_lambda] - H[Z] of the law behind the data, from above; negative refutes Eq. 12.
        gain_at_most: predicted + entropy_change_at_most.
    """

    entropy: EntropyBounds
    entropy_sampled: EntropyBounds
    entropy_change: Estimate
    predicted: Estimate
    gain: Estimate
    entropy_change_at_most: Estimate
    gain_at_most: Estimate


def aggregate_entropy(
    mu: Float[Tensor, "N D"],
    logvar: Float[Tensor, "N D"],
    generator: torch.Generator | None,
    *,
    draws: int = 1,
    chunk: int = PAIRS_PER_PASS,
) -> EntropyBounds:
    """Return H[Z] for z from q(z) = 1/N sum_j N(mu_j, exp(logvar_j)).

    Args:
        mu: Posterior means of the whole data set.
        logvar: ln sigma^2 of the law that z is drawn from.
        generator: The source of chance.
        draws: Of each example.
        chunk: Pairs at a time; bounds the memory.

    Raises:
        InputError: Shapes that differ, or no draws.
    """
    reason = why_unusable(mu, logvar)
    if reason:
        return EntropyBounds(*(Estimate.unknown(reason),) * 3)
    found = OwnAndOthers.stack([densities(eps, mu, logvar, chunk) for eps in noises(mu, generator, draws)])
    return EntropyBounds.of(found, mu, logvar)


def measured_information_gain(
    mu: Float[Tensor, "N D"],
    logvar: Float[Tensor, "N D"],
    logvar_sampled: Float[Tensor, "N D"],
    generator: torch.Generator | None,
    *,
    draws: int = 1,
    chunk: int = PAIRS_PER_PASS,
) -> InformationGain:
    """Return what lambda adds to I(X;Z), and what Eq. 12 says it adds.

    Args:
        mu: Posterior means of the whole data set.
        logvar: ln sigma^2 of q_1.
        logvar_sampled: That of q_lambda.
        generator: The source of chance.
        draws: Of each example.
        chunk: Pairs at a time; bounds the memory.

    Raises:
        InputError: Shapes that differ, or no draws.

    Source:
        The paper, Eq. 12: its right side is H[Z|X] - H[Z_lambda|X], so it is off by H[Z_lambda] - H[Z].
    """
    reason = why_unusable(mu, logvar) or why_unusable(mu, logvar_sampled)
    if reason:
        nothing = Estimate.unknown(reason)
        return InformationGain(*(EntropyBounds(*(nothing,) * 3),) * 2, *(nothing,) * 5)
    pairs = [
        [densities(eps, mu, each, chunk) for each in (logvar, logvar_sampled)] for eps in noises(mu, generator, draws)
    ]
    plain, sampled = (OwnAndOthers.stack(parts) for parts in zip(*pairs, strict=True))
    # one noise for both laws: the squares of eps drop out of the difference, and it is that of the closed forms
    predicted = sampled.own - plain.own
    change = plain.aggregate - sampled.aggregate
    before, after = EntropyBounds.of(plain, mu, logvar), EntropyBounds.of(sampled, mu, logvar_sampled)
    at_most, promised = _difference(after.at_most, before.lower), Estimate.over_examples(predicted)
    return InformationGain(
        entropy=before,
        entropy_sampled=after,
        entropy_change=Estimate.over_examples(change),
        predicted=promised,
        gain=Estimate.over_examples(predicted + change),
        entropy_change_at_most=at_most,
        gain_at_most=_difference(promised, at_most, sign=1.0),
    )


def _difference(one: Estimate, other: Estimate, sign: float = -1.0) -> Estimate:
    """Their difference, or their sum; the errors as if they were independent."""
    return Estimate(one.value + sign * other.value, math.hypot(one.stderr, other.stderr))
