"""Draws from the caller's generator: noise, and examples."""

import torch
from torch import Tensor

from lambda_vae.distributions import Causal
from lambda_vae.distributions.chance import generator_for, normal
from lambda_vae.distributions.likelihood import Drawable, Observation

__all__ = ["generator_for", "normal", "observed"]


@torch.no_grad()
def observed(p_x: Observation, generator: torch.Generator | None) -> Tensor | None:
    """Return a draw x ~ p(x|z), or None where the likelihood cannot be drawn from.

    An autoregressive decoder is not asked: it makes its pixels one by one, far too slowly for a measure. Nor are the
    distributions of torch, which draw from nothing but the global generator.

    Args:
        p_x: The likelihood at some z.
        generator: The source of chance; None is torch's global one.
    """
    refused = isinstance(p_x, Causal | torch.distributions.Distribution)
    return p_x.sample(generator) if isinstance(p_x, Drawable) and not refused else None
