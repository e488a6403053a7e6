"""What the KL term of a VAE is made of: information, redundancy, and each dimension's distance from the prior."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions import Density, DiagGaussian, standard_normal
from lambda_vae.estimation._mutual_information import InformationBounds, MutualInformation
from lambda_vae.estimation.aggregate import PAIRS_PER_PASS, OwnAndOthers, densities, noises, why_unusable
from lambda_vae.estimation.estimate import Estimate
from lambda_vae.estimation.gaussian_bound import gaussian_information

__all__ = ["BothSides", "KLSplit", "kl_split", "mismatch_identity"]

_UPPER = "I(X;Z) is at its cap ln N, so this is an upper bound"
_NO_FACTORS = "the prior does not factorise over the dimensions"


@dataclass(frozen=True)
class KLSplit:
    r"""E_x KL(q(z|x) || p(z)) and its parts, all in nats and from the same draws.

    .. math:: E_x \mathrm{KL}(q(z|x) \,\|\, p) = I(X;Z) + \mathrm{KL}(q(z) \,\|\, p)
        = I(X;Z) + \mathrm{TC} + \sum_i \mathrm{KL}(q(z_i) \,\|\, p(z_i))

    hold exactly, for the values as they stand here.

    Args:
        rate: E_x KL(q(z|x) || p).
        rate_closed: The same in closed form, without the error of the draws; NaN where the prior has none.
        information: I(X;Z).
        mismatch: KL(q(z) || p(z)), of the aggregate posterior.
        total_correlation: TC = KL(q(z) || prod_i q(z_i)).
        dimension_wise_kl: sum_i KL(q(z_i) || p(z_i)).
        dimension_kl: Its terms, D of them.
        marginals: I(X;Z_i), D of them.
        marginal_sum: sum_i I(X;Z_i), each with the own posterior left out: at least I(X;Z), which it is if no two
            dimensions say the same.
        gaussian: I(X;Z) if q(z) were Gaussian; at least I(X;Z).

    Source:
        Hoffman and Johnson 2016, "ELBO surgery"; Chen et al. 2018, arXiv:1802.04942, Eq. 2, over the whole data set
        instead of batches.
    """

    rate: Estimate
    rate_closed: float
    information: InformationBounds
    mismatch: Estimate
    total_correlation: Estimate
    dimension_wise_kl: Estimate
    dimension_kl: tuple[Estimate, ...]
    marginals: tuple[MutualInformation, ...]
    marginal_sum: Estimate
    gaussian: Estimate

    @property
    def information_at_most(self) -> Estimate:
        """The least of the three upper bounds on I(X;Z) of the law that the examples were drawn from."""
        bounds = (self.information.upper, self.marginal_sum, self.gaussian)
        return min(bounds, key=lambda bound: bound.value)

    @classmethod
    def unknown(cls, reason: str, examples: int, latent_dim: int) -> "KLSplit":
        """Return NaN throughout.

        Args:
            reason: One clause.
            examples: N.
            latent_dim: D.
        """
        nothing, bounds = Estimate.unknown(reason), InformationBounds.unknown(reason, examples)
        each = (nothing,) * latent_dim, (bounds.lower,) * latent_dim
        return cls(nothing, math.nan, bounds, nothing, nothing, nothing, *each, nothing, nothing)


def kl_split(
    mu: Float[Tensor, "N D"],
    logvar: Float[Tensor, "N D"],
    generator: torch.Generator | None,
    *,
    prior: Density | None = None,
    draws: int = 1,
    chunk: int = PAIRS_PER_PASS,
) -> KLSplit:
    """Return the parts of E_x KL(q(z|x) || p(z)) over a whole data set.

    Costs D + 1 passes over all pairs of a draw and a posterior.

    Args:
        mu: Posterior means of the whole data set.
        logvar: ln sigma^2 of the law that z is drawn from.
        generator: The source of chance.
        prior: p(z); N(0, I) if not given. Its dimensions are looked at one by one where it is a diagonal Gaussian.
        draws: Of each example.
        chunk: Pairs at a time; bounds the memory.

    Raises:
        InputError: Shapes that differ, or no draws.
    """
    reason = why_unusable(mu, logvar)
    if reason:
        return KLSplit.unknown(reason, *mu.shape)
    mu, logvar, p = mu.double(), logvar.double(), _wide(prior or standard_normal(mu.shape[-1], mu))
    joint, columns, log_p = [], [], []
    for eps in noises(mu, generator, draws):
        joint.append(densities(eps, mu, logvar, chunk))
        split = zip(*(torch.split(part, 1, -1) for part in (eps, mu, logvar)), strict=True)
        columns.append([densities(eps_i, mu_i, logvar_i, chunk) for eps_i, mu_i, logvar_i in split])
        log_p.append(_log_prior(p, mu + torch.exp(0.5 * logvar) * eps))
    marginals = [OwnAndOthers.stack(parts) for parts in zip(*columns, strict=True)]
    closed = float(DiagGaussian(mu, logvar).kl(p).mean()) if isinstance(p, DiagGaussian) else math.nan
    gaussian = gaussian_information(mu, logvar)
    return _parts(OwnAndOthers.stack(joint), marginals, torch.stack(log_p), closed, gaussian)


def _wide(prior: Density) -> Density:
    return DiagGaussian(prior.mu.double(), prior.logvar.double()) if isinstance(prior, DiagGaussian) else prior


def _log_prior(p: Density, z: Float[Tensor, "N D"]) -> Float[Tensor, "N P"]:
    """Log density of every dimension where the prior has them, P = D, else of all of z, P = 1."""
    if not isinstance(p, DiagGaussian):
        return p.log_prob(z)[:, None].double()
    factors = zip(*(torch.split(part, 1, -1) for part in (p.mu, p.logvar, z)), strict=True)
    return torch.stack([DiagGaussian(mean, logvar).log_prob(z_i) for mean, logvar, z_i in factors], -1)


def _parts(
    joint: OwnAndOthers, columns: list[OwnAndOthers], log_p: Float[Tensor, "M N P"], closed: float, gaussian: Estimate
) -> KLSplit:
    bounds = InformationBounds.of(joint)
    marginals = tuple(InformationBounds.of(column).lower for column in columns)
    note = _UPPER if bounds.lower.saturated else ""
    log_qz, log_qzi = joint.aggregate, torch.stack([column.aggregate for column in columns], -1)
    if log_p.shape[-1] == len(columns):
        whole = Estimate.over_examples((log_qzi - log_p).sum(-1))
        notes = (_UPPER if one.saturated else "" for one in marginals)
        each = tuple(map(Estimate.over_examples, (log_qzi - log_p).unbind(-1), notes))
    else:
        whole, each = Estimate.unknown(_NO_FACTORS), (Estimate.unknown(_NO_FACTORS),) * len(columns)
    return KLSplit(
        rate=Estimate.over_examples(joint.own - log_p.sum(-1)),
        rate_closed=closed,
        information=bounds,
        mismatch=Estimate.over_examples(log_qz - log_p.sum(-1), note),
        total_correlation=Estimate.over_examples(log_qz - log_qzi.sum(-1), note),
        dimension_wise_kl=whole,
        dimension_kl=each,
        marginals=marginals,
        marginal_sum=Estimate.over_examples(
            sum((column.own - column.others for column in columns), torch.zeros_like(joint.own))
        ),
        gaussian=gaussian,
    )


@dataclass(frozen=True)
class BothSides:
    """An identity measured: two sides from draws of their own.

    Args:
        left: Of the equation.
        right: Of the equation.
        difference: left - right, its error taken example by example; 0 within it where the identity holds.
    """

    left: Estimate
    right: Estimate
    difference: Estimate


def mismatch_identity(
    mu: Float[Tensor, "N D"],
    logvar: Float[Tensor, "N D"],
    generator: torch.Generator | None,
    *,
    draws: int = 1,
    chunk: int = PAIRS_PER_PASS,
) -> BothSides:
    r"""Return both sides of Eq. 8 under the prior N(0, I).

    .. math:: \mathrm{KL}(q(z) \,\|\, p) = E_x \mathrm{KL}(q(z|x) \,\|\, p) - I(X;\phi) + \Delta I

    with I(X; phi) = ln N, the entropy of which example it is, and the gap ln N - I(X;Z). The left side is estimated
    from one set of draws, I(X;Z) from another, the KL is taken in closed form: only chance is left between them.

    Args:
        mu: Posterior means of the whole data set.
        logvar: ln sigma^2 of the law that z is drawn from.
        generator: The source of chance.
        draws: Of each example, for each side.
        chunk: Pairs at a time.

    Raises:
        InputError: Shapes that differ, or no draws.

    Source:
        The paper, Eq. 8. Deviation: I(X; phi) of a data set, as that of a deterministic encoder of continuous data is
        infinite.
    """
    reason = why_unusable(mu, logvar)
    if reason:
        return BothSides(*(Estimate.unknown(reason),) * 3)
    q = DiagGaussian(mu.double(), logvar.double())
    p = standard_normal(mu.shape[-1], q.mu)
    left, information = [], []
    for eps in noises(mu, generator, draws):
        left.append(densities(eps, mu, logvar, chunk).aggregate[0] - p.log_prob(q.rsample(eps)))
    for eps in noises(mu, generator, draws):
        found = densities(eps, mu, logvar, chunk)
        information.append((found.own - found.aggregate)[0])
    highest = math.log(len(mu))
    gap = highest - torch.stack(information)
    sides = torch.stack(left), q.kl(p) - highest + gap
    return BothSides(
        Estimate.over_examples(sides[0]), Estimate.over_examples(sides[1]), Estimate.over_examples(sides[0] - sides[1])
    )
