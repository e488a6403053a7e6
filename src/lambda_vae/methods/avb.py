"""Adversarial variational Bayes: an implicit posterior, whose KL a discriminator estimates."""

from dataclasses import dataclass

from lambda_vae import objectives, posteriors, training
from lambda_vae.methods.base import Context, Method, setting

__all__ = ["AVB"]


@dataclass(frozen=True)
class AVB(Method):
    """The posterior is implicit, and a discriminator of (x, z) estimates its KL.

    Args:
        mixing_dim: Length of the noise that the posterior's mean and std depend on.
        adaptive_contrast: Tell the posterior from a Gaussian with its moments, not from the prior.
        adversary_hidden: Widths of the discriminator's hidden layers.
        adversary_rate: Learning rate of the discriminator.
    """

    name, title = "avb", "AVB"
    paper = "Mescheder et al. 2017, arXiv:1701.04722"
    cost = "a discriminator's step on x and z next to the model's; 64 Gaussians an example for adaptive contrast"
    neutral = "a classifier stands for its rate; tests/training/test_adversarial.py gives it the best one"
    incompatible = (
        (
            ("equalizer", "sampling"),
            "an implicit posterior has no sigma of its own for lambda to act on; use lambda-vae+iaf",
        ),
        (
            ("vamp-prior",),
            "the prior would be a mixture of distributions without a density; use avb+flow-prior, or vamp-prior alone",
        ),
    )
    mixing_dim: int = setting(2)
    adaptive_contrast: bool = setting(True)
    adversary_hidden: tuple[int, ...] = setting((300, 300))
    adversary_rate: float = setting(1e-3)

    def objective(self, context: Context) -> "objectives.Objective":
        """Return the ELBO without a KL; the strategy adds the discriminator's part."""
        return objectives.BetaELBO(0.0)

    def posterior(self, context: Context) -> "posteriors.Posterior":
        return posteriors.ImplicitPosterior(context.encoded, context.latent_dim, self.mixing_dim)

    def strategy(self, context: Context) -> "training.Strategy":
        return training.AdversarialBayes(
            self.adversary_hidden, self.adversary_rate, adaptive_contrast=self.adaptive_contrast
        )
