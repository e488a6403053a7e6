"""What a log-likelihood answers at some x and at the same x in another order, with its gradient."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions.base import LikelihoodDistribution

__all__ = ["Probe", "Recovered", "close", "means_over", "normalised", "read", "slope_of"]

#: How far float32 may be off, relative to the numbers that were summed.
_TOLERANCE = 2e-5

#: Axes beyond these are not averaged over.
_AXES = 5

#: Logits of a probability of 0 or 1 in torch's cross-entropy.
_FARTHEST = 100.0

#: Rounding of numbers near 0, nats.
_ROUNDING = 1e-3


@dataclass(frozen=True, eq=False)
class Recovered:
    """p(x|z) with its parameters.

    Args:
        decoder: z -> theta, [N, F]; None where only the scale of the value could be told.
        likelihood: theta -> p(x|z), likewise.
        averaged_over: What the callable's value was divided by; 1 is a log density, and less a weight above 1.
        family: Its name.
        notes: What the value leaves out.
        mean: E[x|z] of the probed examples, [B, F], where that is all that could be read of the decoder.
    """

    decoder: Callable[[Tensor], Tensor] | None
    likelihood: Callable[[Tensor], LikelihoodDistribution] | None
    averaged_over: float = 1
    family: str = ""
    notes: tuple[str, ...] = ()
    mean: Float[Tensor, "B F"] | None = None


@dataclass(frozen=True, eq=False)
class Probe:
    """The value and its gradient at two x of every code; the second is the data in another order.

    No x but the data's own is asked for: elsewhere a column that holds the index of an embedding would be out of range.

    Args:
        function: (x, z) -> log p(x|z).
        x: Examples.
        z: Their codes.
        as_latent: Rows to codes.
        value: log p(x|z), float64 [B].
        slope: d log p / dx, float64 [B, F].
        elsewhere: The same at `other`.
    """

    function: Callable[[Tensor, Tensor], Tensor]
    x: Tensor
    z: Tensor
    as_latent: Callable[[Tensor], Tensor]
    value: Float[Tensor, " B"]
    slope: Float[Tensor, "B F"]
    elsewhere: Float[Tensor, "B F"]

    @classmethod
    def of(
        cls, function: Callable[[Tensor, Tensor], Tensor], x: Tensor, z: Tensor, as_latent: Callable[[Tensor], Tensor]
    ) -> "Probe | None":
        """Return it, or None where there is no gradient."""
        value, slope = slope_of(function, x, z)
        elsewhere = slope_of(function, x.roll(1, 0), z)[1]
        bits = bool(((x >= 0) & (x <= 1)).all())  # whose logits may be 0
        if bool(torch.isnan(slope + elsewhere.sign()).any()) or not (bits or bool((slope != 0.0).any())):
            return None
        return cls(function, x, z, as_latent, value, slope, elsewhere)

    @property
    def rows(self) -> Float[Tensor, "B F"]:
        """X as rows, float64."""
        return self.x.flatten(1).double()

    @property
    def linear(self) -> bool:
        """Whether the slope is the same at both x."""
        here, there = _finite(self.slope), _finite(self.elsewhere)
        return float((here - there).abs().mean()) <= 1e-3 * float(here.abs().mean())

    @property
    def finite(self) -> bool:
        """Whether the slope is, as it is not where a probability is 0 or 1."""
        return bool(torch.isfinite(self.slope).all() and torch.isfinite(self.elsewhere).all())

    def scaled(self, count: float) -> Float[Tensor, "B F"]:
        """Return the slope of `count` times the value, that of a certain feature as far as torch's losses go."""
        return torch.where(torch.isinf(self.slope), _finite(self.slope), count * self.slope)

    @property
    def divisors(self) -> list[int]:
        """What a mean over some of x's axes divides by, 1 first."""
        return [1, *sorted(means_over(self.x), reverse=True)]

    def at_zero(self) -> Float[Tensor, " B"]:
        """The value at x = 0, float64."""
        return self.function(torch.zeros_like(self.x), self.z.detach()).detach().double()

    def slopes_at(self, rows: Float[Tensor, "N D"]) -> tuple[Float[Tensor, "N F"], Float[Tensor, "N F"]]:
        """Return one x, again and again, and the slope there of other codes."""
        at = self.x[:1].expand(len(rows), *self.x.shape[1:])
        slope = _finite(slope_of(self.function, at, self.as_latent(rows))[1])
        return at.flatten(1), slope.to(self.x.dtype)


def _finite(slope: Tensor) -> Tensor:
    return slope.nan_to_num(posinf=_FARTHEST, neginf=-_FARTHEST)


def means_over(x: Tensor) -> set[int]:
    """Return what a mean over some of x's axes divides by."""
    sizes = [size for size in x.shape[1:] if size > 1][:_AXES]
    return {math.prod(some) for count in range(1, len(sizes) + 1) for some in combinations(sizes, count)}


def normalised(logits: Tensor, dim: int) -> bool:
    """Whether the exponentials along an axis sum to 1."""
    return float(torch.logsumexp(logits, dim).abs().max()) < 1e-3


def read(
    probe: Probe,
    family: str,
    likelihood: Callable[[Tensor], LikelihoodDistribution],
    count: float,
    notes: tuple[str, ...] = (),
    bend: Callable[[Tensor], Tensor] | None = None,
) -> Recovered:
    """Return a distribution whose parameters are the slope, and what `bend` of x adds to it."""

    def decoder(rows: Tensor) -> Tensor:
        at, slope = probe.slopes_at(rows)
        return slope if bend is None else slope + bend(at)

    return Recovered(decoder, likelihood, count, family, notes)


def slope_of(function: Callable[[Tensor, Tensor], Tensor], x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return log p(x|z), [B], and d log p(x|z)/dx, [B, F], float64."""
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        value = function(leaf, z.detach())
        slope: Tensor = torch.autograd.grad(value.sum(), leaf)[0]
    return value.detach().double(), slope.flatten(1).double()


def close(found: Float[Tensor, " B"], expected: Float[Tensor, " B"], summed: Float[Tensor, " B"]) -> bool:
    """Whether two values are the same but for rounding; `summed` are the magnitudes that they are sums of."""
    error = float((found - expected).abs().mean())
    return error <= _TOLERANCE * float(summed.mean()) + _ROUNDING * min(1.0, float(expected.abs().mean()))
