"""KL(q || p) by the pair of types, where it has a closed form."""

from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions.autoregressive import AutoregressiveGaussian
from lambda_vae.distributions.base import Sample
from lambda_vae.distributions.full_gaussian import FullGaussian, kl_from_diagonal
from lambda_vae.distributions.gaussian import DiagGaussian
from lambda_vae.distributions.latent import Density, PosteriorDistribution
from lambda_vae.distributions.torch_density import TorchDensity

__all__ = ["closed_form_kl", "kl_or_ratio"]

#: One formula a pair; a pair that is not here has none.
_FORMULAS: dict[tuple[type, type], Callable[[Any, Any], Tensor | None]] = {
    (DiagGaussian, DiagGaussian): DiagGaussian.kl,
    (DiagGaussian, AutoregressiveGaussian): lambda q, p: p.kl_from(q),
    (DiagGaussian, TorchDensity): lambda q, p: p.kl_from(q),
    (DiagGaussian, FullGaussian): kl_from_diagonal,
    (FullGaussian, DiagGaussian): FullGaussian.kl,
    (FullGaussian, FullGaussian): FullGaussian.kl,
}


def closed_form_kl(q: PosteriorDistribution, p: Density) -> Float[Tensor, "*batch"] | None:
    """Return KL(q || p) in nats, [B], or None where there is no formula.

    Args:
        q: Left side.
        p: Right side.

    Example:
        >>> from lambda_vae.distributions import standard_normal
        >>> float(closed_form_kl(standard_normal(2), standard_normal(2)))
        0.0
    """
    formula = _FORMULAS.get((type(q), type(p)))
    return None if formula is None else formula(q, p)


def kl_or_ratio(q: PosteriorDistribution, p: Density, draw: Sample) -> Float[Tensor, "*batch"]:
    """Return KL(q || p) in nats where it has a closed form, [B], else ln q(z)/p(z) of the draws, [K, B].

    The mean of the latter over draws from q is the former.

    Args:
        q: Left side.
        p: Right side.
        draw: From q; used only where there is no formula.
    """
    closed = closed_form_kl(q, p)
    return draw.log_prob() - p.log_prob(draw.z) if closed is None else closed
