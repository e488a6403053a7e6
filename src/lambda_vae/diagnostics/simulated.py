"""Data drawn from the model itself."""

import torch
from torch import Tensor

from lambda_vae.diagnostics.chance import normal
from lambda_vae.distributions import Bernoulli, DiagGaussian
from lambda_vae.distributions.likelihood import Observation

__all__ = ["drawn_data"]


@torch.no_grad()
def drawn_data(p_x: Observation, generator: torch.Generator | None) -> Tensor | None:
    """Return one draw of x, [..., F], or None where the likelihood cannot be drawn from.

    Args:
        p_x: p(x|z).
        generator: The source of chance.
    """
    if isinstance(p_x, Bernoulli):
        probability = p_x.mean
        uniform = normal(probability.shape, generator, probability.device, uniform=True)
        return (uniform < probability).to(probability.dtype)
    if isinstance(p_x, DiagGaussian):
        return p_x.rsample(normal(p_x.mu.shape, generator, p_x.mu.device))
    return None
