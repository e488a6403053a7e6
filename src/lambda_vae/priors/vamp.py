"""The VampPrior: a mixture of the posteriors of learned inputs."""

from collections.abc import Callable

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from lambda_vae.distributions import DiagGaussian, GaussianMixture, PosteriorDistribution
from lambda_vae.errors import InputError
from lambda_vae.priors.prior import Prior

__all__ = ["VampPrior"]


class VampPrior(Prior):
    """p(z) = 1/M sum_m q(z|u_m), over learned pseudo-inputs u_m that stay in the range of the data.

    Args:
        features: F, the length of x.
        pseudo_inputs: M.

    Raises:
        InputError: M is less than 1; when called, posteriors that are no Gaussians.

    Source:
        Tomczak and Welling 2018, arXiv:1705.07120, Eq. 9. Deviations: u begins at the mean of the data, 0.01 away
        from the ends of its range at the least, for a value outside gets no gradient through the clamp.
    """

    low: Tensor
    high: Tensor

    def __init__(self, features: int, pseudo_inputs: int = 500) -> None:
        super().__init__()
        if pseudo_inputs < 1:
            raise InputError(f"pseudo_inputs is {pseudo_inputs}; it must be at least 1")
        self.pseudo = nn.Parameter(0.5 + 0.01 * torch.randn(pseudo_inputs, features))
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.ones(()))

    @torch.no_grad()
    def init_from_data(self, x: Shaped[Tensor, "N F"]) -> None:
        """Take the range and the mean of the data.

        Args:
            x: Some of it.

        Raises:
            InputError: It is of tokens.
        """
        if not x.is_floating_point():
            raise InputError(
                "the inputs that a VampPrior learns are numbers, and the data are sequences of tokens; use flow-prior"
            )
        self.low.copy_(x.min())
        self.high.copy_(x.max())
        margin = 0.01 * (self.high - self.low)
        self.pseudo.add_((x.mean(0) - 0.5).to(self.pseudo))
        self.pseudo.clamp_(self.low + margin, self.high - margin)

    def forward(self, encode: Callable[[Tensor], PosteriorDistribution]) -> GaussianMixture:
        """Return p(z), the mixture of M posteriors.

        Args:
            encode: Data to posteriors.
        """
        q = encode(self.pseudo.clamp(self.low, self.high))
        if not isinstance(q, DiagGaussian):
            raise InputError(
                f"a VampPrior mixes Gaussian posteriors, and these are {type(q).__name__}; use flow-prior with them"
            )
        return GaussianMixture(q.mu, q.logvar)
