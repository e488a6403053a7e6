"""The same decoder without z: of a decoder of sequences, a language model, with which every likelihood is compared."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lambda_vae import posteriors
from lambda_vae.methods.base import PARTS, Context, Method

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["NoZ"]


def _nothing(z: "Tensor") -> "Tensor":
    return 0.0 * z


@dataclass(frozen=True)
class NoZ(Method):
    """The decoder gets 0 in place of z, and the posterior is the prior; the encoder is not trained.

    log p(x) does not depend on z, so the bound and the importance-weighted estimate are -log p(x) itself. An
    autoregressive decoder is a language model then, or its like for pixels: a VAE whose bound is no better has not
    gained from its z, by what can be seen of the likelihood.
    """

    name, title = "no-z", "decoder without z"
    paper = "Bowman et al. 2016, arXiv:1511.06349 (RNNLM)"
    cost = "no backward pass of the encoder"
    neutral = "the plain VAE has a z"
    incompatible = ((PARTS, "without z there is nothing for it to act on; use no-z alone"),)

    def posterior(self, context: Context) -> "posteriors.Posterior":
        return posteriors.PriorPosterior(context.latent_dim)

    def decoder(self, context: Context) -> "Callable[[Tensor], Tensor]":
        return _nothing
