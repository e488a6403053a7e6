"""Covariances that are too large to keep with their standard errors: sums of outer products, batch by batch."""

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.estimation.shares import Shares

__all__ = ["StreamedCovariance"]


class StreamedCovariance:
    """The covariance of [B, F] batches over everything that was added, float64.

    Args:
        features: F.
        device: Of the batches.

    Example:
        >>> seen = StreamedCovariance(2)
        >>> for batch in torch.tensor([[1.0, 0.0], [3.0, 4.0], [5.0, 2.0]]).split(2):
        ...     seen.add(batch)
        >>> seen.unbiased.round(decimals=6)
        tensor([[4., 2.],
                [2., 4.]], dtype=torch.float64)
    """

    def __init__(self, features: int, device: torch.device | None = None) -> None:
        self.count = 0
        self.total = torch.zeros(features, dtype=torch.float64, device=device)
        self._shift = torch.zeros(features, device=device)
        self.products = torch.zeros(features, features, dtype=torch.float64, device=device)

    def add(self, values: Float[Tensor, "B F"]) -> None:
        """Take in a batch."""
        if not self.count:  # about the first mean, or what a large one leaves of rounding passes for variance
            self._shift = values.mean(0)
        self.count += len(values)
        self.total += values.sum(0, dtype=torch.float64)
        values = values - self._shift
        self.products += values.T @ values

    def share(self, shares: Shares) -> None:
        """Take in what all other processes have added to theirs."""
        if shares.size == 1:
            return
        count = int(shares.total(self.total.new_tensor([self.count])))
        total = shares.total(self.total)
        # each about the joint mean, without the digits that it would cost to go by way of 0
        shift = total / count
        off = self.total - self.count * self._shift
        moved = self._shift - shift
        across = off[:, None] * moved
        products = self.products + across + across.T + self.count * moved[:, None] * moved
        self.count, self.total, self._shift, self.products = count, total, shift, shares.total(products)

    @property
    def value(self) -> Float[Tensor, "F F"]:
        """Over the examples as a whole population."""
        mean = self.total / self.count - self._shift
        return self.products / self.count - mean[:, None] * mean

    @property
    def unbiased(self) -> Float[Tensor, "F F"]:
        """Over the examples as a sample; NaN for a single one."""
        return self.value * (self.count / (self.count - 1) if self.count > 1 else float("nan"))
