"""Posteriors: h -> q(z|x)."""

from lambda_vae.posteriors.gaussian import GaussianPosterior
from lambda_vae.posteriors.posterior import Posterior

__all__ = ["GaussianPosterior", "Posterior"]
