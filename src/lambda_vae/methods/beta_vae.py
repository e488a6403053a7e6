"""β-VAE: another weight on the KL."""

from dataclasses import dataclass

from lambda_vae import objectives
from lambda_vae.methods.base import Context, Method, setting

__all__ = ["BetaVAE"]


@dataclass(frozen=True)
class BetaVAE(Method):
    """The ELBO with a weight on its KL.

    Args:
        beta: The weight; 1 is the plain VAE.
    """

    name, title, short = "beta-vae", "β-VAE", "β"
    paper = "Higgins et al. 2017"
    neutral = {"beta": 1.0}
    beta: float = setting(1.0, "β={}")

    def objective(self, context: Context) -> "objectives.Objective":
        return objectives.BetaELBO(self.beta)
