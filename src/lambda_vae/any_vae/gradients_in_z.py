"""Whether a log-likelihood has a gradient in z, and what stands in its place where it has none."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lambda_vae.errors import InputError

__all__ = ["slope_of", "stated"]

#: Steps of a difference quotient, as shares of z's own spread.
_STEPS = (0.02, 0.1)


class _Slope(torch.autograd.Function):
    """A value with a gradient that is said: 0 where the decoder ignores z, NaN where nobody knows it."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, value: Tensor, slope: float) -> Tensor:  # noqa: ANN401 - torch's own
        """Return the value."""
        ctx.slope, ctx.shape = slope, z.shape
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401 - torch's own
        """Return the slope, whatever comes back."""
        return gradients[0].new_full(ctx.shape, ctx.slope), None, None


def stated(z: Tensor, value: Tensor, slope: float) -> Tensor:
    """Return the value, with this gradient in z.

    Example:
        >>> z = torch.ones(2, requires_grad=True)
        >>> torch.autograd.grad(stated(z, torch.zeros(()), 0.0), z)[0]
        tensor([0., 0.])
    """
    applied: Tensor = _Slope.apply(z, value, slope)  # type: ignore[no-untyped-call]
    return applied


def slope_of(log_p: Callable[[Tensor, Tensor], Tensor], x: Tensor, z: Tensor) -> float | None:
    """Return None where torch knows the gradient of log p(x|z) in z, 0 where z changes nothing, else NaN.

    A gradient that is not the value's, as of a decoder of which a part is cut off from z, counts as none.
    """
    gradient = _gradient(log_p, x, z)
    spread = z.float().std().clamp(min=0.1).to(z.dtype) if z.numel() > 1 else torch.ones_like(z).mean()
    towards = torch.randn(z.shape, generator=torch.Generator().manual_seed(0)).to(z) * spread
    with torch.no_grad():
        moves = any(not torch.equal(log_p(x, z), log_p(x, z + times * towards)) for times in (0.1, 1.0, 10.0))
    if not moves:
        return 0.0 if gradient is None else None
    if gradient is None or not bool((gradient != 0.0).any()):
        return torch.nan
    return None if any(_agrees(log_p, x, z, towards, gradient, step) for step in _STEPS) else torch.nan


def _gradient(log_p: Callable[[Tensor, Tensor], Tensor], x: Tensor, z: Tensor) -> Tensor | None:
    try:
        with torch.enable_grad():
            leaf = z.detach().clone().requires_grad_()
            value = log_p(x, leaf)
            if not value.requires_grad:
                return None
            gradient: Tensor | None = torch.autograd.grad(value.sum(), leaf, allow_unused=True)[0]
            return gradient
    except InputError:
        raise
    except Exception:  # whatever a decoder of another world answers to a tensor that wants a gradient
        return None


def _agrees(
    log_p: Callable[[Tensor, Tensor], Tensor], x: Tensor, z: Tensor, towards: Tensor, gradient: Tensor, step: float
) -> bool:
    """Whether a difference quotient is near the gradient, rounding and kinks aside."""
    with torch.no_grad():
        up, down = log_p(x, z + step * towards).double(), log_p(x, z - step * towards).double()
    quotient = (up - down) / (2.0 * step)
    expected = (gradient.double() * towards.double()).flatten(1).sum(1)
    epsilon = torch.finfo(z.dtype).eps
    rounding = 10.0 * epsilon * float(torch.maximum(up.abs(), down.abs()).mean()) / step
    apart = float((quotient - expected).abs().mean())
    return apart <= 0.5 * max(float(quotient.abs().mean()), float(expected.abs().mean())) + rounding
