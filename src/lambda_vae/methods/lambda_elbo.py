"""λ-VAE with the KL of the distribution that z is drawn from: a valid bound."""

from dataclasses import dataclass

from lambda_vae import objectives
from lambda_vae.methods.base import Context
from lambda_vae.methods.lambda_vae import LambdaVAE

__all__ = ["LambdaELBO"]


@dataclass(frozen=True)
class LambdaELBO(LambdaVAE):
    """λ-VAE, its settings and all, but the KL is that of q_λ."""

    name, title, short = "lambda-elbo", "λ with the KL at q_λ", "λ in the ELBO"
    paper = "ours: Eq. 9 of the λ-VAE paper in a valid bound"

    def objective(self, context: Context) -> "objectives.Objective":
        return objectives.SampledELBO()
