"""Counts: Poisson, negative binomial, and multinomial features."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions import (
    LikelihoodDistribution,
    MultinomialCounts,
    NegativeBinomialCounts,
    PoissonCounts,
    multinomial_coefficient,
)
from lambda_vae.errors import InputError
from lambda_vae.likelihoods.base import Decode, DecoderLikelihood, log_probabilities
from lambda_vae.likelihoods.continuous import positive, spread_over

__all__ = ["Multinomial", "NegativeBinomial", "Poisson", "multinomial", "negative_binomial", "poisson"]

#: The rate of a decoder that answers 0, whose logarithm is none.
_RAREST = 1e-30


class Poisson(DecoderLikelihood):
    """Log-likelihood of independent Poisson counts, with the term -ln x! that losses often leave out.

    Args:
        decode: z -> the rates, of as many numbers as x.
        log_rates: It gives their logarithms instead.

    Example:
        >>> import torch
        >>> poisson(lambda z: torch.ones(1, 2))(torch.zeros(1, 2), torch.zeros(1, 1))
        tensor([-2.])
    """

    family = "Poisson"

    def __init__(self, decode: Decode, *, log_rates: bool = False) -> None:
        super().__init__(decode)
        self.log_rates = log_rates

    def read(self, answer: Float[Tensor, "B F"]) -> Float[Tensor, "B F"]:
        """Return the logarithms of the rates."""
        return answer if self.log_rates else _log_rates(answer, "say log_rates=True if it gives their logarithms")

    def observation(self, theta: Float[Tensor, "B F"]) -> PoissonCounts:
        """Return the counts of these log rates."""
        return PoissonCounts(theta)

    def check(self, x: Tensor) -> None:
        """Raise unless x are counts."""
        _require_counts(x, self.family)


class NegativeBinomial(DecoderLikelihood):
    """Log-likelihood of independent negative binomial counts, of variance m + m^2 / dispersion.

    Args:
        decode: z -> the means m, of as many numbers as x.
        dispersion: The inverse dispersion, one number or one a feature; a Poisson where it is large.

    Raises:
        InputError: dispersion is not greater than 0.

    Example:
        >>> import torch
        >>> negative_binomial(lambda z: torch.ones(1, 2), dispersion=1.0)(torch.zeros(1, 2), torch.zeros(1, 1)).exp()
        tensor([0.2500])
    """

    family = "negative binomial"

    def __init__(self, decode: Decode, *, dispersion: float | Tensor) -> None:
        super().__init__(decode)
        self.dispersion = positive("dispersion", dispersion)

    def read(self, answer: Float[Tensor, "B F"]) -> Float[Tensor, "B F"]:
        """Return the logarithms of the means."""
        return _log_rates(answer, "end it with softplus or exp")

    def observation(self, theta: Float[Tensor, "B F"]) -> NegativeBinomialCounts:
        """Return the counts of these log means."""
        return NegativeBinomialCounts(theta, spread_over("dispersion", self.dispersion, theta))

    def check(self, x: Tensor) -> None:
        """Raise unless x are counts."""
        _require_counts(x, self.family)


class Multinomial(DecoderLikelihood):
    """Log-likelihood of each example's counts given their total, as of words, clicks or ratings.

    Args:
        decode: z -> the probabilities of the items, of as many numbers as x.
        logits: It gives their logarithms instead, up to a constant, as a decoder without a last softmax does.
        coefficient: With ln(n! / (x_1! ... x_F!)), which makes it the log-probability of the counts. False leaves it
            out, as the loss of Mult-VAE does: the bound is then that of one order of the draws, and comparable only
            with others without it. Where x are zeros and ones of total n it is ln n!.

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0, 1.0]])
        >>> fair = lambda z: torch.zeros(1, 2)
        >>> multinomial(fair, logits=True)(x, x).exp(), multinomial(fair, logits=True, coefficient=False)(x, x).exp()
        (tensor([0.5000]), tensor([0.2500]))
    """

    family = "multinomial"
    mean_like_x = False  # it depends on the total of each example

    def __init__(self, decode: Decode, *, logits: bool = False, coefficient: bool = True) -> None:
        super().__init__(decode)
        self.logits, self.coefficient = logits, coefficient

    def read(self, answer: Float[Tensor, "B F"]) -> Float[Tensor, "B F"]:
        """Return ln p."""
        return log_probabilities(answer, 1, logits=self.logits)

    def observation(self, theta: Float[Tensor, "B F"]) -> MultinomialCounts:
        """Return the counts of these logits."""
        return MultinomialCounts(theta, coefficient=self.coefficient)

    def unpacked(
        self, x: Tensor, z: Tensor, *conditions: object
    ) -> Callable[[Float[Tensor, "N P"]], LikelihoodDistribution]:
        """Return theta -> p(x|z) for parameters that were flattened to rows."""
        totals = x.reshape(len(x), -1).sum(1).float()
        return lambda theta: MultinomialCounts(theta, coefficient=self.coefficient, totals=totals)

    def notes(self, x: Tensor) -> tuple[str, ...]:
        """Return what the coefficient would be, where it is left out."""
        nats = float(multinomial_coefficient(x.reshape(len(x), -1).double()).mean())
        if self.coefficient or nats < 1e-3:
            return ()
        return (
            f"The multinomial's coefficient is left out, {nats:.4g} nats an example: nll_bound is that much higher "
            "than with it, and comparable only with bounds that leave it out too.",
        )

    def check(self, x: Tensor) -> None:
        """Raise unless x are counts; without the coefficient weights will do."""
        if self.coefficient:
            _require_counts(x, self.family, "coefficient=False takes weights too")
        elif bool((x < 0).any()):
            raise InputError(f"x goes down to {float(x.min()):.3g}, and a multinomial's counts start at 0")


poisson, negative_binomial, multinomial = Poisson, NegativeBinomial, Multinomial


def _log_rates(answer: Tensor, remedy: str) -> Tensor:
    if bool((answer < 0).any()):
        raise InputError(f"decode gives {float(answer.min()):.3g} for a rate, which is at least 0; {remedy}")
    return answer.clamp(min=_RAREST).log()


def _require_counts(x: Tensor, family: str, besides: str = "undo a scaling or a log1p, or take `gaussian`") -> None:
    x = x.detach()
    whole = not x.is_floating_point() or bool((x == x.round()).all())
    if not whole or bool((x < 0).any()):
        worst = float(x[x < 0][0]) if bool((x < 0).any()) else float(x[x != x.round()][0])
        raise InputError(f"x holds {worst:.3g}, and a {family}'s are counts, whole numbers from 0; {besides}")
