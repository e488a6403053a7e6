"""The plain VAE, which every method differs from in some parts."""

from dataclasses import dataclass

from lambda_vae.methods.base import Method

__all__ = ["PlainVAE"]


@dataclass(frozen=True)
class PlainVAE(Method):
    """Diagonal Gaussian posterior, standard normal prior, the ELBO."""

    name, title = "vae", "VAE"
    paper = "Kingma and Welling 2014, arXiv:1312.6114"
    neutral = {}
