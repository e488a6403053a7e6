"""Priors: () -> p(z)."""

from lambda_vae.priors.prior import Prior
from lambda_vae.priors.standard import StandardNormalPrior

__all__ = ["Prior", "StandardNormalPrior"]
