"""Laws that importance samples may be drawn from; each is legitimate, since its own density is in the weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions import GaussianMixture, PosteriorDistribution, Sample
from lambda_vae.errors import InputError
from lambda_vae.estimation.protocol import LatentVariableModel

__all__ = ["PROPOSALS", "Mixture", "Proposal", "check_proposals", "own_laws", "proposal_laws", "widened"]

#: By name: q_1, q_lambda, q_1 with a greater sigma, and half q_1, half the widened one.
PROPOSALS = ("q", "q_sampled", "wide", "defensive")


@runtime_checkable
class Proposal(Protocol):
    """What importance weights ask of a law."""

    @property
    def noise_dim(self) -> int:
        """How many standard normal numbers make one draw."""

    def rsample_and_log_prob(self, eps: Float[Tensor, "K B noise"]) -> Sample:
        """Return draws with their own log density."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """Equal parts of some laws, drawn in turn: of K draws every law gives K / n, the first ones more of a remainder.

    The density of a draw is the mixture's, in the proportions really drawn. Whatever K is, the mean weight is then
    p(x) in expectation, and no draw of a component adds to its spread.

    Args:
        laws: n of them, with the same noise.

    Source:
        Owen and Zhou 2000, "Safe and effective importance sampling", section 4 (mixture with a part that dominates
        the target) and 5 (fixed proportions); Veach and Guibas 1995, the balance heuristic.
    """

    laws: Sequence[PosteriorDistribution]

    @property
    def noise_dim(self) -> int:
        """That of each law."""
        return self.laws[0].noise_dim

    def rsample_and_log_prob(self, eps: Float[Tensor, "K B noise"]) -> Sample:
        """Return K draws, those of the first law first."""
        parts = [part for part in eps.tensor_split(len(self.laws)) if len(part)]
        used = self.laws[: len(parts)]
        z = torch.cat([law.rsample(part) for law, part in zip(used, parts, strict=True)])
        shares = [math.log(len(part) / len(eps)) for part in parts]

        def log_prob() -> Tensor:
            each = [share + law.log_prob(z) for share, law in zip(shares, used, strict=True)]
            return torch.stack(each).logsumexp(0)

        return Sample(z, log_prob)


def check_proposals(names: Sequence[str], factor: float = 1.2) -> None:
    """Raise unless every name is one of `PROPOSALS`.

    Raises:
        InputError: An unknown name, none at all, or a factor that is not above 0.
    """
    if not names or any(name not in PROPOSALS for name in names):
        raise InputError(f"proposals are {list(names)}; name at least one of {', '.join(PROPOSALS)}")
    _check_factor(factor)


def _check_factor(factor: float) -> None:
    if not 0.0 < factor < math.inf:
        raise InputError(f"the widening factor is {factor}; it must be greater than 0, 1.2 for instance")


def widened(q: PosteriorDistribution, factor: float) -> PosteriorDistribution:
    """Return q with its sigma multiplied: of a Gaussian, of every component of a mixture, of the base of a flow.

    Raises:
        InputError: The factor is not a number above 0.
    """
    _check_factor(factor)
    more = 2.0 * math.log(factor)
    if isinstance(q, GaussianMixture):
        return GaussianMixture(q.means, q.logvars + more)
    return q.with_logvar(q.logvar + more)


def own_laws(vae: LatentVariableModel, q: PosteriorDistribution) -> dict[str, PosteriorDistribution]:
    """Return "q", and "q_sampled" where the law that z is really drawn from is another one."""
    rule = vae.equalization
    q_sampled = (rule if rule.acts else replace(rule, exponent=None)).sampled(q)
    return {"q": q} if q_sampled is q else {"q": q, "q_sampled": q_sampled}


def proposal_laws(
    vae: LatentVariableModel,
    q: PosteriorDistribution,
    names: Sequence[str] = PROPOSALS,
    *,
    factor: float = 1.2,
) -> dict[str, Proposal]:
    """Return proposals by name; without lambda "q_sampled" is the same distribution as "q" and stays out.

    Args:
        vae: The model.
        q: q_1(z|x) of the data.
        names: Of `PROPOSALS`.
        factor: Of sigma in "wide", and in the second half of "defensive".

    Raises:
        InputError: An unknown name, none at all, or a factor that is not above 0.
    """
    check_proposals(names, factor)
    own, wide = own_laws(vae, q), widened(q, factor)
    laws: dict[str, Proposal] = {"q_sampled": q, **own, "wide": wide, "defensive": Mixture((q, wide))}
    same = "q_sampled" not in own and "q" in names
    return {name: laws[name] for name in PROPOSALS if name in names and not (same and name == "q_sampled")}
