"""Priors: () -> p(z)."""

from lambda_vae.priors.autoregressive import AutoregressivePrior
from lambda_vae.priors.flow import FlowPrior
from lambda_vae.priors.prior import Prior
from lambda_vae.priors.standard import StandardNormalPrior
from lambda_vae.priors.vamp import VampPrior

__all__ = ["AutoregressivePrior", "FlowPrior", "Prior", "StandardNormalPrior", "VampPrior"]
