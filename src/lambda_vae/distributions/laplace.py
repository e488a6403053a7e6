"""Independent Laplace variables."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.rng import normal

__all__ = ["Laplace"]


@dataclass(frozen=True, eq=False)
class Laplace:
    """Independent Laplace variables.

    Args:
        mean: Their locations, [..., F].
        scale: b, [F].
    """

    mean: Float[Tensor, "*batch F"]
    scale: Float[Tensor, " F"]

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the log density in nats, summed over the features."""
        return -((x - self.mean).abs() / self.scale + (2.0 * self.scale).log()).sum(-1)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Return a draw, [..., F]."""
        u = normal(self.mean.shape, generator, self.mean.device, uniform=True).to(self.mean.dtype) - 0.5
        tiny = torch.finfo(u.dtype).tiny
        return self.mean - self.scale * u.sign() * (1.0 - 2.0 * u.abs()).clamp(min=tiny).log()
