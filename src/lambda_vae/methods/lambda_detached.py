"""λ-VAE without the gradient that goes through σ^λ."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lambda_vae import equalization
from lambda_vae.methods.base import Context
from lambda_vae.methods.lambda_vae import LambdaVAE

__all__ = ["LambdaDetached"]


@dataclass(frozen=True)
class LambdaDetached(LambdaVAE):
    """λ-VAE, its settings and all, but no gradient of the reconstruction reaches σ."""

    name, title, short = "lambda-detached", "λ without its gradient", "λ detached"
    paper = "ours: Eq. 9 of the λ-VAE paper without Eq. 11"
    neutral: ClassVar[Mapping[str, Any] | str] = "no gradient of the reconstruction reaches sigma, whatever delta is"

    def sampling(self, context: Context) -> "equalization.Sampling":
        return equalization.DetachedExponent()
