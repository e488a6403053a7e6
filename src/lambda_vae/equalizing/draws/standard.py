"""Whether (z - mu) / sigma of a draw is the standard normal noise that was drawn, and no function of it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lambda_vae.distributions.base import at_least_float32

__all__ = ["standard"]

#: Tolerated relative error of sigma.
_SIZE = 0.01


@torch.no_grad()
def standard(z: Tensor, mu: Tensor, std: Tensor, axis: int, noises: Sequence[Tensor]) -> tuple[bool, float]:
    """Return whether z = mu + sigma * eps with an eps that the host drew, and the error factor of sigma.

    Constant noise does not reveal that noise is averaged or truncated, so z itself is compared with the noise.
    """
    wide = at_least_float32(z).double()
    mean, sigma = mu.double().expand_as(wide), std.double().expand_as(wide)
    kept = sigma > 1e-6
    r = torch.where(kept, (wide - mean) / sigma, 0.0)
    eps = torch.finfo(z.dtype).eps
    slack = 8.0 * eps * (wide.abs() + mean.abs()) / sigma.clamp(min=1e-6) + 2e-3 * (1.0 + r.abs()) + 4.0 * eps * r.abs()
    for noise in noises:
        if noise.numel() != r.numel():
            continue
        same = noise.double().reshape(r.shape)
        if bool((((r - same).abs() <= slack) | ~kept).all()):
            return _scaled(r, same, kept, slack, axis, eps)
    flat, allowed = r[kept], slack[kept]
    size = float(flat.square().mean().sqrt()) if flat.numel() else 1.0
    by_chance = 6.0 * (0.5 / max(1, flat.numel())) ** 0.5
    drawn = torch.cat([one.double().flatten() for one in noises]).sort().values if noises else flat[:0]
    if abs(size - 1.0) > _SIZE + eps + by_chance or not drawn.numel():
        return False, size
    above = torch.searchsorted(drawn, flat).clamp(1, max(1, drawn.numel() - 1))
    distance = torch.minimum((flat - drawn[above - 1]).abs(), (flat - drawn[above.clamp(max=drawn.numel() - 1)]).abs())
    return bool((distance <= allowed).all()), size


def _scaled(r: Tensor, noise: Tensor, kept: Tensor, slack: Tensor, axis: int, eps: float) -> tuple[bool, float]:
    """Whether the regression of r on the noise has slope 1 in every dimension, within rounding; the worst slope."""
    weights, others = noise * kept, [one for one in range(r.ndim) if one != axis % r.ndim]
    power = weights.square().sum(others).clamp(min=1e-12)
    ratio = (r * weights).sum(others) / power
    doubt = 0.25 * (slack * weights.abs()).square().sum(others).sqrt() / power
    worst = ((ratio - 1.0).abs() - doubt).argmax()
    holds = bool(((ratio - 1.0).abs() <= _SIZE + eps + doubt).all())
    return holds, float(ratio.flatten()[worst])
