"""Counts: Poisson, negative binomial and multinomial variables."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions.base import at_least_float32

__all__ = ["MultinomialCounts", "NegativeBinomialCounts", "PoissonCounts", "multinomial_coefficient"]


@dataclass(frozen=True, eq=False)
class PoissonCounts:
    """Independent Poisson variables.

    Args:
        log_rates: [..., F].
    """

    log_rates: Float[Tensor, "*batch F"]

    @property
    def mean(self) -> Tensor:
        """The rates, [..., F]."""
        return self.log_rates.exp()

    def log_prob(self, x: Tensor) -> Tensor:
        """Return ln P(x) in nats, summed over the features."""
        return (x * self.log_rates - self.log_rates.exp() - torch.lgamma(x + 1.0)).sum(-1)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Return a draw, [..., F]."""
        return _poisson(self.mean, generator)


@dataclass(frozen=True, eq=False)
class NegativeBinomialCounts:
    """Independent negative binomial variables: Poisson ones whose rate is gamma distributed.

    Args:
        log_means: [..., F].
        dispersion: r, [F]; the variance is m + m^2 / r.
    """

    log_means: Float[Tensor, "*batch F"]
    dispersion: Float[Tensor, " F"]

    @property
    def mean(self) -> Tensor:
        """The means, [..., F]."""
        return self.log_means.exp()

    def log_prob(self, x: Tensor) -> Tensor:
        """Return ln P(x) in nats, summed over the features."""
        r = self.dispersion
        # For large r the difference of ln(r + m) and ln r has too few digits.
        apart = torch.nn.functional.softplus(self.log_means - r.log())  # ln(1 + m / r)
        wide, rest = x.double() + r, torch.lgamma(x + 1.0)
        ways = (torch.lgamma(wide) - torch.lgamma(r.double())).to(rest.dtype) - rest
        return (ways + x * (self.log_means - r.log() - apart) - r * apart).sum(-1)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Return a draw, [..., F]."""
        shape = self.dispersion.expand_as(self.log_means).contiguous()
        source = shape if generator is None else shape.to(generator.device)
        gamma = torch._standard_gamma(source, generator=generator).to(shape.device)
        return _poisson(self.mean * gamma / self.dispersion, generator)


@dataclass(frozen=True, eq=False)
class MultinomialCounts:
    """Counts given their total.

    Args:
        logits: [..., F].
        coefficient: Whether ln(n! / (x_1! ... x_F!)) counts.
        totals: Of some examples; a draw takes its mean total from them in turn. 1 if left out.
        dim: The axis of `shape` along which the counts have a total; all of them together if left out.
        shape: Of one example.
    """

    logits: Float[Tensor, "*batch F"]
    coefficient: bool = True
    totals: Float[Tensor, " n"] | None = None
    shape: tuple[int, ...] | None = None
    dim: int = -1

    @property
    def log_p(self) -> Tensor:
        """Ln p of the items, [..., F]."""
        logits = at_least_float32(self.logits)
        if self.shape is None:
            return torch.log_softmax(logits, -1)
        apart = logits.reshape(*logits.shape[:-1], *self.shape)
        return torch.log_softmax(apart, self.dim - len(self.shape)).flatten(-len(self.shape))

    def log_prob(self, x: Tensor) -> Tensor:
        """Return ln P(x) in nats."""
        value = (x * self.log_p).sum(-1)
        return value + multinomial_coefficient(x) if self.coefficient else value

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Return Poisson counts, whose distribution given their total is the multinomial; [..., F]."""
        p = self.log_p.exp()
        totals = torch.ones(1) if self.totals is None else self.totals
        turn = torch.arange(p[..., 0].numel(), device=totals.device) % len(totals)
        return _poisson(p * totals[turn].to(p).reshape(*p.shape[:-1], 1), generator)


def multinomial_coefficient(x: Tensor) -> Tensor:
    """Return ln(n! / (x_1! ... x_F!)), how many orders the draws can have."""
    return torch.lgamma(x.sum(-1) + 1.0) - torch.lgamma(x + 1.0).sum(-1)


def _poisson(rates: Tensor, generator: torch.Generator | None) -> Tensor:
    source = rates if generator is None else rates.to(generator.device)
    return torch.poisson(source, generator=generator).to(rates.device)
