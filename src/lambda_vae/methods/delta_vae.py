"""δ-VAE: posterior and prior are chosen so that no weights bring the KL below a committed rate."""

from dataclasses import dataclass
from typing import Literal

from lambda_vae import posteriors, priors
from lambda_vae.methods.base import Context, Method, setting

__all__ = ["DeltaVAE"]


@dataclass(frozen=True)
class DeltaVAE(Method):
    """The KL of every dimension stays above a committed rate for all weights.

    Args:
        committed_rate: Least KL in nats a dimension; 0 is the plain VAE.
        committed_form: "independent" keeps the posterior away from N(0, I), "ar1" the prior from all posteriors.
    """

    name, title = "delta-vae", "δ-VAE"
    paper = "Razavi et al. 2019, arXiv:1901.03416"
    neutral = {"committed_rate": 0.0}
    committed_rate: float = setting(0.1, "{} nats")
    committed_form: Literal["independent", "ar1"] = setting("independent", "{}")

    def posterior(self, context: Context) -> "posteriors.Posterior":
        rate = self.committed_rate if self.committed_form == "independent" else 0.0
        return posteriors.CommittedPosterior(context.encoded, context.latent_dim, rate)

    def prior(self, context: Context) -> "priors.Prior":
        if self.committed_form == "independent":
            return priors.StandardNormalPrior(context.latent_dim)
        return priors.AutoregressivePrior(context.latent_dim, self.committed_rate)
