"""Wasserstein autoencoder: the aggregate posterior is held to the prior by an MMD, without a KL."""

from dataclasses import dataclass

from lambda_vae import objectives
from lambda_vae.methods.base import Context, Method, require_pairs, setting

__all__ = ["WAE"]


@dataclass(frozen=True)
class WAE(Method):
    """The aggregate posterior's distance from the prior, as an MMD, takes the place of the KL.

    Args:
        weight: Nats per unit of squared MMD.
    """

    name, title, short = "wae", "WAE-MMD", "WAE"
    paper = "Tolstikhin et al. 2018, arXiv:1711.01558"
    cost = "the same and B² kernels"
    neutral = "there is no KL in it at any weight"
    weight: float = setting(200.0, "weight {}", record="wae_weight")

    def objective(self, context: Context) -> "objectives.Objective":
        require_pairs(self, context)
        return objectives.WAE(self.weight)
