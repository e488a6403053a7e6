"""Latent reconstruction: the encoder must find in what the decoder makes of z the z that it was made of."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lambda_vae import training
from lambda_vae.errors import InputError
from lambda_vae.methods.base import Context, Method, setting

if TYPE_CHECKING:
    from torch import Tensor

    from lambda_vae.model import VAE, Trace

__all__ = ["LatentReconstruction", "latent_error"]


def latent_error(stepper: "training.Stepper", trace: "Trace") -> "Tensor":
    """Return |z - mu(E[x|z])|^2 / 2, which is -ln N(z; mu(E[x|z]), I) but for its constant, in nats, [K, B].

    If the decoder ignores a dimension, no encoder can recover it from x; if z can be recovered, the decoder is
    injective where q puts z. The points z are fixed: the term has no gradient with respect to z itself, and the
    gradient that is recorded at z stays that of the reconstruction alone.

    Args:
        stepper: With the model and the precision of its passes.
        trace: Of the forward pass.

    Source:
        Song, Kim and Lee 2025, arXiv:2508.12530. Deviations: made from what its abstract says (a loss for the
        reconstruction of latents, after injective and composite functions); the squared distance, its weight in nats,
        the points z ~ q and that they are fixed are ours.
    """
    z = trace.z.detach()
    with stepper.autocast:
        mean = _decoded_mean(stepper.vae, z)
        code = stepper.vae.encode(mean.reshape(-1, mean.shape[-1])).marginals().mu
    return 0.5 * (z.float() - code.float().view_as(z)).square().sum(-1)


def _decoded_mean(vae: "VAE", z: "Tensor") -> "Tensor":
    """E[x|z], [..., F]; an autoregressive decoder has none to be had from one pass."""
    if vae.likelihood.reads_tokens:
        raise InputError("latent-reconstruction encodes E[x|z], and tokens are no numbers; use another method")
    p_x = vae.decode(z)
    mean: Tensor | None = getattr(p_x, "mean", None)
    if mean is None:
        raise InputError(
            f"latent-reconstruction encodes E[x|z], which a {type(p_x).__name__} does not give; use a network and "
            "a likelihood whose features are independent given z"
        )
    return mean


def _check_model(vae: "VAE") -> None:
    _decoded_mean(vae, next(vae.parameters()).new_zeros(1, vae.latent_dim))


@dataclass(frozen=True)
class LatentReconstruction(Method):
    """The loss asks the encoder to recover z from the decoder's mean, which it cannot where the decoder ignores z.

    Args:
        latent_weight: Nats for half a squared unit between z and the code of its decoded mean; 0 is the plain VAE.
            3 was chosen on a validation split of MNIST, where 1 and less change little.
    """

    name, title, short = "latent-reconstruction", "VAE + latent reconstruction", "latent reconstruction"
    paper = "Song et al. 2025, arXiv:2508.12530"
    cost = "one more pass of decoder and encoder"
    neutral = {"latent_weight": 0.0}
    incompatible = (
        (("avb",), "an implicit posterior has no mean code to compare z with; use it with a Gaussian posterior or iaf"),
    )
    latent_weight: float = setting(3.0, "weight {}")

    def strategy(self, context: Context) -> "training.Strategy | None":
        if not 0.0 <= self.latent_weight < float("inf"):
            raise InputError(f"latent_weight is {self.latent_weight}; it must be a finite number, 0 or greater")
        if not self.latent_weight:
            return None
        return training.AddedTerm(latent_error, self.latent_weight, "latent_error", _check_model)
