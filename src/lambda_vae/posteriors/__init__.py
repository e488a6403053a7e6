"""Posteriors: h -> q(z|x)."""

from typing import TYPE_CHECKING

from lambda_vae.lazy import on_first_use

if TYPE_CHECKING:
    from lambda_vae.posteriors.committed import CommittedPosterior
    from lambda_vae.posteriors.flow import FlowPosterior
    from lambda_vae.posteriors.gaussian import GaussianPosterior
    from lambda_vae.posteriors.implicit import ImplicitPosterior
    from lambda_vae.posteriors.posterior import Posterior
    from lambda_vae.posteriors.without import PriorPosterior

__all__ = [
    "CommittedPosterior",
    "FlowPosterior",
    "GaussianPosterior",
    "ImplicitPosterior",
    "Posterior",
    "PriorPosterior",
]

__getattr__ = on_first_use(__name__)
