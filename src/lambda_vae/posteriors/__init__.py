"""Posteriors: h -> q(z|x)."""

from lambda_vae.posteriors.gaussian import GaussianPosterior

__all__ = ["GaussianPosterior"]
