"""Adversarial autoencoder: a discriminator holds the aggregate posterior to the prior."""

from dataclasses import dataclass

from lambda_vae import objectives, training
from lambda_vae.methods.base import Context, Method, setting

__all__ = ["AAE"]


@dataclass(frozen=True)
class AAE(Method):
    """A discriminator of draws from the prior and from the aggregate posterior takes the place of the KL.

    Args:
        adversary_weight: Of the discriminator's part of the loss.
        adversary_hidden: Widths of the discriminator's hidden layers.
        adversary_rate: Learning rate of the discriminator.
    """

    name, title = "aae", "AAE"
    paper = "Makhzani et al. 2016, arXiv:1511.05644"
    cost = "a discriminator's step next to the model's"
    neutral = "there is no KL in it at any weight"
    incompatible = (
        (
            ("vamp-prior", "flow-prior"),
            "a discriminator is shown draws of the prior and teaches it nothing; use that prior without aae",
        ),
    )
    adversary_weight: float = setting(10.0, "weight {}")
    adversary_hidden: tuple[int, ...] = setting((300, 300))
    adversary_rate: float = setting(1e-3)

    def objective(self, context: Context) -> "objectives.Objective":
        """Return the ELBO without a KL; the strategy adds the discriminator's part."""
        return objectives.BetaELBO(0.0)

    def strategy(self, context: Context) -> "training.Strategy":
        return training.AdversarialAutoencoder(self.adversary_weight, self.adversary_hidden, self.adversary_rate)
