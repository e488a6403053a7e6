"""Latent reconstruction: the encoder must find in what the decoder makes of z the z that it was made of."""

from dataclasses import dataclass

from lambda_vae import training
from lambda_vae.methods.base import Context, Method, setting

__all__ = ["LatentReconstruction"]


@dataclass(frozen=True)
class LatentReconstruction(Method):
    """The loss asks the encoder to recover z from the decoder's mean, which it cannot where the decoder ignores z.

    Args:
        latent_weight: Nats for half a squared unit between z and the code of its decoded mean; 0 is the plain VAE. Chosen
            on a validation split of MNIST; below 1 it changes little there.
    """

    name, title, short = "latent-reconstruction", "VAE + latent reconstruction", "latent reconstruction"
    paper = "Song et al. 2025, arXiv:2508.12530"
    cost = "one more pass of decoder and encoder"
    neutral = {"latent_weight": 0.0}
    incompatible = (
        (("avb",), "an implicit posterior has no mean code to compare z with; use it with a Gaussian posterior or iaf"),
    )
    latent_weight: float = setting(3.0, "weight {}")

    def strategy(self, context: Context) -> "training.Strategy":
        return training.Reencoding(self.latent_weight)
