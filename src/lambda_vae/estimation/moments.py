"""Streaming means with standard errors: sums of features and of their products, and the delta method."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.estimation.shares import Shares

__all__ = ["Moments", "Reading", "moments_of", "reading_of"]


@dataclass(frozen=True, eq=False)
class Reading:
    """A measured value with its standard error.

    Args:
        value: What was measured.
        stderr: One standard error of `value` over the examples; same shape.
        unit: Of both.
    """

    value: Tensor
    stderr: Tensor
    unit: str


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over examples; two of them add up to the sums of all.

    Args:
        names: Of the features, P of them.
        count: Examples.
        total: Sum of each feature, float64, [P, D].
        products: Sum of each pair's product, float64, [P, P, D].

    Example:
        >>> parts = [moments_of({"x": torch.tensor([[1.0], [2.0]])}), moments_of({"x": torch.tensor([[3.0]])})]
        >>> (parts[0] + parts[1]).mean["x"]
        tensor([2.], dtype=torch.float64)
    """

    names: tuple[str, ...]
    count: int
    total: Float[Tensor, "P D"]
    products: Float[Tensor, "P P D"]

    def __add__(self, other: "Moments") -> "Moments":
        if self.names != other.names:
            raise InputError(f"cannot add moments of {other.names} to moments of {self.names}")
        return Moments(self.names, self.count + other.count, self.total + other.total, self.products + other.products)

    def shared(self, shares: Shares) -> "Moments":
        """Return the moments over the examples of all processes."""
        if shares.size == 1:
            return self
        count = shares.total(self.total.new_tensor([self.count]))
        return Moments(self.names, int(count), shares.total(self.total), shares.total(self.products))

    def none(self) -> "Moments":
        """Return the moments of no examples."""
        return Moments(self.names, 0, torch.zeros_like(self.total), torch.zeros_like(self.products))

    @property
    def mean(self) -> dict[str, Float[Tensor, " D"]]:
        """Mean over the examples by name, each [D]."""
        return dict(zip(self.names, self.total / self.count, strict=True))

    @property
    def unbiased(self) -> float:
        """N / (n - 1); NaN for a single example, whose spread is not known."""
        return self.count / (self.count - 1) if self.count > 1 else float("nan")

    def read(self, function: Callable[[dict[str, Tensor]], Tensor], unit: str) -> Reading:
        """Return `function` of the means, with the standard error that the delta method gives it.

        Args:
            function: Means by name, each [D], to a value [D]; dimension by dimension, differentiable.
            unit: Of the value.

        Returns:
            Value and standard error, float64, [D]. The error is over examples, exact to first order in 1/n.
        """
        means = self.total / self.count
        with torch.enable_grad():
            leaf = means.clone().requires_grad_()
            value = function(dict(zip(self.names, leaf, strict=True)))
            slope = torch.autograd.grad(value.sum(), leaf)[0]
        covariance = (self.products / self.count - means[:, None] * means[None]) * self.unbiased
        # What is not looked at may be NaN, as all that needs a gradient is where there is none.
        unused = slope == 0.0
        covariance = covariance.masked_fill(unused[:, None] | unused[None], 0.0)
        variance = torch.einsum("pd,pqd,qd->d", slope, covariance, slope) / self.count
        return Reading(value.detach(), variance.clamp(min=0.0).sqrt(), unit)


def moments_of(features: Mapping[str, Float[Tensor, "B D"]]) -> Moments:
    """Return the moments of one batch.

    Args:
        features: By name, one value an example and dimension; summed in float64.
    """
    stacked = torch.stack([feature.detach().double() for feature in features.values()])
    products = torch.einsum("pbd,qbd->pqd", stacked, stacked)
    return Moments(tuple(features), stacked.shape[1], stacked.sum(1), products)


def reading_of(values: Float[Tensor, " N"], unit: str) -> Reading:
    """Return the mean over examples with its standard error, one number each; NaN for the error of a single example.

    Example:
        >>> reading_of(torch.tensor([1.0, 3.0]), "nats")
        Reading(value=tensor(2., dtype=torch.float64), stderr=tensor(1., dtype=torch.float64), unit='nats')
    """
    wide = values.detach().double()
    spread = wide.std() if len(wide) > 1 else wide.new_tensor(torch.nan)
    return Reading(wide.mean(), spread / len(wide) ** 0.5, unit)
