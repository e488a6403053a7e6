"""Independent Bernoulli pixels."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Distribution, Independent

from lambda_vae.distributions.base import at_least_float32
from lambda_vae.distributions.likelihood import Likelihood
from lambda_vae.rng import normal

__all__ = ["Bernoulli", "BernoulliLikelihood"]


@dataclass(frozen=True, eq=False)
class Bernoulli:
    """Independent Bernoulli variables given by their logits.

    Args:
        logits: ln(p / (1 - p)), [..., F]; half and bfloat16 become float32.

    Example:
        >>> Bernoulli(torch.zeros(1, 2)).log_prob(torch.ones(1, 2)).exp()
        tensor([0.2500])
    """

    logits: Float[Tensor, "*batch F"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "logits", at_least_float32(self.logits))

    @property
    def mean(self) -> Float[Tensor, "*batch F"]:
        """The probabilities of 1, [..., F]."""
        return torch.sigmoid(self.logits)

    @property
    def mode(self) -> Float[Tensor, "*batch F"]:
        """The likelier of 0 and 1, [..., F]."""
        return (self.logits > 0.0).to(self.logits.dtype)

    def log_prob(self, x: Float[Tensor, "*#point F"]) -> Float[Tensor, "*batch"]:
        """Return log p(x) in nats, summed over the features.

        Args:
            x: 0 or 1, [B, F]; broadcast against the logits. Values in between give a cross-entropy, which is not a
                likelihood.
        """
        return -F.binary_cross_entropy_with_logits(self.logits, x.expand_as(self.logits), reduction="none").sum(-1)

    def sample(self, generator: torch.Generator | None = None) -> Float[Tensor, "*batch F"]:
        """Return a draw of 0s and 1s, [..., F]."""
        p = self.mean
        drawn = normal(p.shape, generator, p.device, uniform=True) < p
        return drawn.to(p.dtype).masked_fill(p.isnan(), torch.nan)

    def to_torch(self) -> Distribution:
        """Return the same distribution as torch.distributions has it, event shape [F]."""
        return Independent(TorchBernoulli(logits=self.logits), 1)


class BernoulliLikelihood(Likelihood):
    """p(x|z): theta are the logits of independent pixels."""

    def forward(self, theta: Float[Tensor, "*batch F"]) -> Bernoulli:
        """Return the Bernoulli of these logits."""
        return Bernoulli(theta)
