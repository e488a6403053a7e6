"""Priors: p(z)."""

from lambda_vae.priors.standard import StandardNormalPrior

__all__ = ["StandardNormalPrior"]
