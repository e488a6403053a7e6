"""p(x|z) as a product over pixels, each given those before it: the likelihood of an autoregressive decoder."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lambda_vae.distributions.base import LikelihoodDistribution, PixelDistribution, Sampleable, at_least_float32
from lambda_vae.distributions.likelihood import Likelihood
from lambda_vae.errors import InputError

__all__ = ["Ancestral", "Causal", "CausalLikelihood", "Decode", "Pick", "Progress", "sample_x"]

#: Called with the rows of pixels that are done, and with how many there are.
Progress = Callable[[int, int], None]

#: theta of one pixel [N, P] -> its values in [0, 1], [N, channels].
Pick = Callable[[Tensor], Tensor]

#: (network, context [N, C, h, w], pick, progress) -> images [N, F].
Decode = Callable[[Any, Tensor, Pick, Progress | None], Tensor]


class Ancestral:
    """A p(x|z) that is drawn from part by part, each given those before it; no single pass gives a mean."""


@dataclass(frozen=True, eq=False)
class Causal(Ancestral):
    """p(x|z) = prod_i p(x_i | x_<i, z), the pixels in the order of rows.

    `log_prob(x)` reads x itself (teacher forcing): one pass of the network for all pixels. No single pass gives a mean;
    an image is decoded pixel by pixel, greedily or at random.

    Args:
        context: What the network is told of z, [..., C, h, w].
        likelihood: With the network, and the distribution of one pixel.
        autocast: Whether the network runs in bfloat16.
    """

    context: Float[Tensor, "*batch C h w"]
    likelihood: "CausalLikelihood"
    autocast: bool = False

    def log_prob(self, x: Float[Tensor, "*#point F"]) -> Float[Tensor, "*batch"]:
        """Return log p(x|z) in nats, summed over the features; x [B, F] is broadcast against the batch of z."""
        return self.given(x).log_prob(x)

    def given(self, x: Float[Tensor, "*#point F"]) -> LikelihoodDistribution:
        """Return the distributions of all pixels, each given those of x before it.

        Args:
            x: [B, F]; broadcast against the batch of z.
        """
        batch = self.context.shape[:-3]
        rows = x.expand(*batch, x.shape[-1]).reshape(-1, x.shape[-1])
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.autocast):
            theta = self.likelihood.network(rows, self._contexts())
        p_x: LikelihoodDistribution = self.likelihood.pixel(theta.view(*batch, *theta.shape[1:]))
        return p_x

    def greedy(self, progress: Progress | None = None) -> Float[Tensor, "*batch F"]:
        """Return images whose every pixel is the likeliest one given those before it; not the likeliest images.

        Args:
            progress: Called after each row of pixels.

        Source:
            The paper, 6.4 and Figure 9.
        """
        return self._decode(lambda pixel: pixel.mode, progress)

    def sample(
        self, generator: torch.Generator | None = None, progress: Progress | None = None
    ) -> Float[Tensor, "*batch F"]:
        """Return draws: ancestral sampling; `progress` is called after each row of pixels."""
        return self._decode(lambda pixel: pixel.sample(generator), progress)

    def _decode(self, choose: Callable[[PixelDistribution], Tensor], progress: Progress | None) -> Tensor:
        likelihood = self.likelihood

        def pick(theta: Tensor) -> Tensor:
            alone = theta[..., None, None] if likelihood.pixel.as_maps else theta
            return choose(likelihood.pixel(alone)).flatten(1)

        images = likelihood.decode(likelihood.network, at_least_float32(self._contexts()), pick, progress)
        return images.view(*self.context.shape[:-3], -1)

    def _contexts(self) -> Float[Tensor, "N C h w"]:
        return self.context.reshape(-1, *self.context.shape[-3:])


class CausalLikelihood(Likelihood):
    """p(x|z) of an autoregressive decoder: theta is the context, what the network is told of z.

    The decoder of the `VAE` ends where z has become context. Scores, importance weights and measures call `log_prob(x)`
    as with any likelihood; that x is read on the way shows nowhere else.

    Args:
        features: F, the length of x.
        network: (x [N, F], context [N, C, h, w]) -> theta of each pixel given those before it.
        pixel: The distribution of the pixels given their theta.
        decode: How images are made pixel by pixel.

    Raises:
        InputError: Pixels that cannot be drawn one at a time.

    Source:
        Gulrajani et al. 2017, arXiv:1611.05013 (PixelVAE).
    """

    def __init__(self, features: int, network: nn.Module, pixel: Likelihood, decode: Decode) -> None:
        super().__init__(features)
        if any(True for _ in pixel.parameters()):
            raise InputError(
                f"an autoregressive decoder draws pixels one at a time, and {type(pixel).__name__} has weights of its "
                "own for every pixel; use likelihood=bernoulli"
            )
        self.network, self.pixel, self.decode = network, pixel, decode

    def forward(self, theta: Float[Tensor, "*batch C h w"]) -> Causal:
        """Return p(x|z); its passes run in the precision of this one."""
        return Causal(theta, self, torch.is_autocast_enabled(theta.device.type))


@torch.no_grad()
def sample_x(p_x: LikelihoodDistribution, generator: torch.Generator | None) -> Tensor | None:
    """Return a draw x ~ p(x|z), or None where the likelihood cannot be drawn from.

    An autoregressive decoder is not asked: it makes its parts one by one, far too slowly for a measure. Nor are the
    distributions of torch, which draw from nothing but the global generator.

    Args:
        p_x: The likelihood at some z.
        generator: Of the random numbers; None is torch's global one.
    """
    refused = isinstance(p_x, Ancestral | torch.distributions.Distribution)
    return p_x.sample(generator) if isinstance(p_x, Sampleable) and not refused else None
