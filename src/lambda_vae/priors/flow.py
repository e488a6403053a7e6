"""The learned flow prior."""

from collections.abc import Callable

import torch
from torch import Tensor

from lambda_vae.distributions import AffineFlow, DiagGaussian, Inverse, PosteriorDistribution, TransformedDistribution
from lambda_vae.errors import InputError
from lambda_vae.priors.prior import Prior

__all__ = ["FlowPrior"]


class FlowPrior(Prior):
    """p(z): N(0, I) seen through a masked autoregressive flow, N(0, I) itself before training.

    Its density, which training needs, takes one pass; a draw takes D.

    Args:
        latent_dim: D.
        layers: Of the flow; 0 is N(0, I) for ever.
        hidden: Widths of the masked network in each layer.

    Raises:
        InputError: A number below its least.

    Source:
        Chen et al. 2017, arXiv:1611.02731, section 3.2; Papamakarios et al. 2017, arXiv:1705.07057, Eq. 3 and 4.
    """

    zeros: Tensor

    def __init__(self, latent_dim: int, layers: int = 4, hidden: tuple[int, ...] = (128,)) -> None:
        super().__init__()
        if layers < 0:
            raise InputError(f"flow_layers is {layers}; it must be at least 0")
        self.register_buffer("zeros", torch.zeros(latent_dim), persistent=False)
        self.flow = AffineFlow(latent_dim, 0, layers, hidden, passes=latent_dim) if layers else None

    def forward(self, encode: Callable[[Tensor], PosteriorDistribution]) -> DiagGaussian | TransformedDistribution:
        """Return p(z); it is not made of posteriors."""
        base = DiagGaussian(self.zeros, self.zeros)
        return base if self.flow is None else TransformedDistribution(base, Inverse(self.flow()))
