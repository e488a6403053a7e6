"""Priors: () -> p(z)."""

from typing import TYPE_CHECKING

from lambda_vae.lazy import on_first_use

if TYPE_CHECKING:
    from lambda_vae.priors.autoregressive import AutoregressivePrior
    from lambda_vae.priors.flow import FlowPrior
    from lambda_vae.priors.prior import Prior
    from lambda_vae.priors.standard import StandardNormalPrior
    from lambda_vae.priors.vamp import VampPrior

__all__ = ["AutoregressivePrior", "FlowPrior", "Prior", "StandardNormalPrior", "VampPrior"]

__getattr__ = on_first_use(__name__)
