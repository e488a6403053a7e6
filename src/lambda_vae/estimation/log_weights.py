"""Importance weights as sums of logarithms, and what they say of themselves."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["LogWeights"]


@dataclass(frozen=True, eq=False)
class LogWeights:
    """Sums of importance weights and of their squares, kept as logarithms; samples may come in any number of parts.

    Args:
        log_sum: ln sum_k w_k, float64, [B].
        log_sum_sq: ln sum_k w_k^2, float64, [B].
        count: K so far.

    Example:
        >>> halves = LogWeights.empty(1, "cpu").fold(torch.zeros(2, 1)).fold(torch.zeros(2, 1))
        >>> halves.nll, halves.effective_samples
        (tensor([-0.], dtype=torch.float64), tensor([4.], dtype=torch.float64))
    """

    log_sum: Float[Tensor, " B"]
    log_sum_sq: Float[Tensor, " B"]
    count: int

    @classmethod
    def empty(cls, examples: int, device: torch.device | str) -> "LogWeights":
        """Return sums of no weights."""
        nothing = torch.full((examples,), -torch.inf, dtype=torch.float64, device=device)
        return cls(nothing, nothing, 0)

    def fold(self, log_weights: Float[Tensor, "K B"]) -> "LogWeights":
        """Return the sums with these weights added."""
        log_w = log_weights.double()
        return LogWeights(
            torch.logaddexp(self.log_sum, log_w.logsumexp(0)),
            torch.logaddexp(self.log_sum_sq, (2.0 * log_w).logsumexp(0)),
            self.count + len(log_w),
        )

    @property
    def nll(self) -> Float[Tensor, " B"]:
        """-ln mean_k w_k in nats, [B]; in expectation an upper bound on -ln p(x) that tightens with K."""
        return -(self.log_sum - math.log(self.count))

    @property
    def effective_samples(self) -> Float[Tensor, " B"]:
        """(sum w)^2 / sum w^2, between 1 and K, [B]."""
        return (2.0 * self.log_sum - self.log_sum_sq).exp()

    @property
    def stderr(self) -> Float[Tensor, " B"]:
        """Standard error of `nll` over the draws, in nats, to first order, [B]; NaN for a single draw.

        It takes the spread of the weights at hand for the true one: where few weights carry the sum, it is too small.
        """
        relative = (1.0 / self.effective_samples - 1.0 / self.count).clamp(min=0.0)
        return (relative * self.count / (self.count - 1)).sqrt() if self.count > 1 else relative * torch.nan
