"""The one door for chance: noise from the caller's generator, wherever it lives."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lambda_vae.distributions import Bernoulli, DiagGaussian
from lambda_vae.distributions.likelihood import Observation

__all__ = ["normal", "observed"]


def normal(
    shape: Sequence[int], generator: torch.Generator | None, device: torch.device, *, uniform: bool = False
) -> Tensor:
    """Return standard normal noise, float32, on `device`, drawn where the generator is.

    Args:
        shape: Of the noise.
        generator: The source of chance; None is torch's global one.
        device: Where it is needed.
        uniform: Uniform on [0, 1) instead.
    """
    source = generator.device if generator is not None else device
    draw = torch.rand if uniform else torch.randn
    noise: Tensor = draw(tuple(shape), generator=generator, device=source)
    return noise.to(device)


@torch.no_grad()
def observed(p_x: Observation, generator: torch.Generator | None) -> Tensor | None:
    """Return a draw x ~ p(x|z), or None where the likelihood cannot be drawn from.

    Args:
        p_x: The likelihood at some z.
        generator: The source of chance; None is torch's global one.
    """
    if isinstance(p_x, Bernoulli):
        probability = p_x.mean
        uniform = normal(probability.shape, generator, probability.device, uniform=True)
        return (uniform < probability).to(probability.dtype)
    if isinstance(p_x, DiagGaussian):
        return p_x.rsample(normal(p_x.mu.shape, generator, p_x.mu.device))
    return None
