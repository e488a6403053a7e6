"""I(X;Z): what a draw of z tells about which example it belongs to."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.estimation.aggregate import PAIRS_PER_PASS, OwnAndOthers, densities, noises, why_unusable
from lambda_vae.estimation.estimate import Estimate, mean_over_examples

__all__ = [
    "SATURATION",
    "InformationBounds",
    "MutualInformation",
    "information_bounds",
    "marginal_information",
    "mutual_information",
]

#: Share of the own posterior in q(z) at its own draws from which on the estimate speaks of the data set and no longer
#: of the law behind it: the two bounds are then further apart than about this many nats.
SATURATION = 0.1


@dataclass(frozen=True)
class MutualInformation:
    """An estimate of I(X;Z) that says how far it can be trusted.

    Args:
        value: Nats.
        stderr: One standard error over the examples.
        cap: The largest value that the estimator can give whatever the truth, ln N.
        own_share: What an example's own posterior contributes to q(z) at its draws, on average: 1/N where z tells
            nothing, 1 at the cap.
        unit: Of value, stderr and cap.
        reason: Why the value is NaN; "" where it is a number.
    """

    value: float
    stderr: float
    cap: float
    own_share: float
    unit: str = "nats"
    reason: str = ""

    @classmethod
    def unknown(cls, reason: str, cap: float = math.nan) -> "MutualInformation":
        """Return NaN with its reason.

        Args:
            reason: One clause.
            cap: Of the estimator.
        """
        return cls(math.nan, math.nan, cap, math.nan, reason=reason)

    @property
    def saturated(self) -> bool:
        """Whether the cap decides the value: for the law behind the data it is a lower bound only."""
        return self.own_share > SATURATION

    @property
    def gap(self) -> Estimate:
        """The information gap ln N - I: what sampling noise takes of what tells the examples apart.

        Source:
            The paper, Eq. 5, with I(X; phi) = ln N: a deterministic encoder tells N distinct examples apart.
        """
        return Estimate(self.cap - self.value, self.stderr, self.unit, self.reason)


@dataclass(frozen=True)
class InformationBounds:
    """Two estimates that in expectation lie on both sides of I(X;Z) of the law that the examples were drawn from.

    Args:
        lower: The mixture estimate, own posterior within; at most ln N.
        upper: The own posterior left out of the mixture.
    """

    lower: MutualInformation
    upper: Estimate

    @classmethod
    def of(cls, found: OwnAndOthers) -> "InformationBounds":
        """Return the bounds that draws at hand give.

        Args:
            found: Their densities.
        """
        value, stderr = mean_over_examples(found.own - found.aggregate)
        cap = math.log(found.own.shape[-1])
        lower = MutualInformation(value, stderr, cap, float(found.own_share.mean()))
        return cls(lower, Estimate.over_examples(found.own - found.others))

    @classmethod
    def unknown(cls, reason: str, examples: int) -> "InformationBounds":
        """Return NaN on both sides.

        Args:
            reason: One clause.
            examples: N.
        """
        cap = math.log(examples) if examples else math.nan
        return cls(MutualInformation.unknown(reason, cap), Estimate.unknown(reason))


def information_bounds(
    mu: Float[Tensor, "N D"],
    logvar: Float[Tensor, "N D"],
    generator: torch.Generator | None,
    *,
    draws: int = 1,
    chunk: int = PAIRS_PER_PASS,
) -> InformationBounds:
    r"""Return a lower and an upper bound on I(X;Z), from the same draws.

    .. math:: E\Bigl[\ln \frac{q(z_i|x_i)}{\frac1N \sum_j q(z_i|x_j)}\Bigr] \le I(X;Z) \le
        E\Bigl[\ln \frac{q(z_i|x_i)}{\frac1{N-1} \sum_{j \ne i} q(z_i|x_j)}\Bigr]

    Args:
        mu: Posterior means of the whole data set.
        logvar: ln sigma^2 of the law that z is drawn from.
        generator: The source of chance.
        draws: Of each example.
        chunk: Pairs of a draw and a posterior at a time; bounds the memory.

    Raises:
        InputError: Shapes that differ, or no draws.

    Source:
        Poole et al. 2019, arXiv:1905.06922, on bounds with tractable encoders. The lower bound, over all N, is the
        paper's mixture estimator.
    """
    reason = why_unusable(mu, logvar)
    if reason:
        return InformationBounds.unknown(reason, len(mu))
    found = OwnAndOthers.stack([densities(eps, mu, logvar, chunk) for eps in noises(mu, generator, draws)])
    return InformationBounds.of(found)


def mutual_information(
    mu: Float[Tensor, "N D"],
    logvar: Float[Tensor, "N D"],
    generator: torch.Generator | None,
    *,
    draws: int = 1,
    chunk: int = PAIRS_PER_PASS,
) -> MutualInformation:
    r"""Return I(X;Z) by the mixture estimator, over the whole data set.

    .. math:: \hat I = \frac1N \sum_i \Bigl(\ln q(z_i|x_i) - \ln \frac1N \sum_j q(z_i|x_j)\Bigr),
        \quad z_i \sim q(z|x_i)

    For X uniform on these N examples it is unbiased. For the law that they were drawn from it is a lower bound which
    cannot exceed ln N; `saturated` says where that matters.

    Args:
        mu: Posterior means of the whole data set.
        logvar: ln sigma^2 of the law that z is drawn from.
        generator: The source of chance.
        draws: Of each example.
        chunk: Pairs of a draw and a posterior at a time; bounds the memory.

    Raises:
        InputError: Shapes that differ, or no draws.

    Source:
        The paper, section 5 (metrics); Hoffman and Johnson 2016.

    Example:
        >>> apart = mutual_information(10.0 * torch.arange(4.0)[:, None], torch.zeros(4, 1), torch.Generator())
        >>> round(apart.value, 3), round(apart.cap, 3), apart.saturated
        (1.386, 1.386, True)
    """
    return information_bounds(mu, logvar, generator, draws=draws, chunk=chunk).lower


def marginal_information(
    mu: Float[Tensor, "N D"],
    logvar: Float[Tensor, "N D"],
    generator: torch.Generator | None,
    *,
    draws: int = 1,
    chunk: int = PAIRS_PER_PASS,
) -> tuple[MutualInformation, ...]:
    """Return I(X;Z_i) of every dimension by itself, as `mutual_information` of one column does.

    Their sum exceeds I(X;Z) by what the dimensions say twice, and may exceed ln N.

    Args:
        mu: Posterior means of the whole data set.
        logvar: ln sigma^2 of the law that z is drawn from.
        generator: The source of chance.
        draws: Of each example.
        chunk: Pairs at a time.

    Raises:
        InputError: Shapes that differ, or no draws.
    """
    columns = zip(torch.split(mu, 1, -1), torch.split(logvar, 1, -1), strict=True)
    return tuple(mutual_information(m, v, generator, draws=draws, chunk=chunk) for m, v in columns)
