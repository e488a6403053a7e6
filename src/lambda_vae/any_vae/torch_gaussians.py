"""A torch distribution's own mean, standard deviations and Cholesky factor, where it is Gaussian."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import (
    AffineTransform,
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    TransformedDistribution,
)
from torch.distributions.transforms import ComposeTransform, IndependentTransform, Transform

__all__ = ["TorchGaussian", "gaussian_of"]


@dataclass(frozen=True, eq=False)
class TorchGaussian:
    """N(loc, factor factor^T), or N(loc, diag(std^2)) where no two numbers vary together.

    Args:
        loc: Means, of the distribution's batch and event shape.
        std: Standard deviations, likewise.
        factor: Lower Cholesky factor of the covariance along the last axis, [..., D, D]; None where it is diagonal.
    """

    loc: Tensor
    std: Tensor
    factor: Tensor | None = None

    def moved(self, shift: Tensor, scale: Tensor) -> "TorchGaussian":
        """Return the distribution of shift + scale * z."""
        scale = scale.expand_as(self.loc)
        factor = self.factor
        if factor is not None:
            factor = scale[..., :, None] * factor * scale.sign()[..., None, :]
        return TorchGaussian(shift + scale * self.loc, scale.abs() * self.std, factor)


def gaussian_of(law: Distribution) -> TorchGaussian | None:
    """Return the Gaussian that a distribution is, or None where it is none.

    Args:
        law: A Normal, MultivariateNormal or LowRankMultivariateNormal, within Independent, or moved and scaled by a
            TransformedDistribution.

    Example:
        >>> gaussian_of(torch.distributions.Independent(Normal(torch.zeros(2), 1.0), 1)).std
        tensor([1., 1.])
    """
    if isinstance(law, Independent):
        return gaussian_of(law.base_dist)
    if isinstance(law, Normal):
        return TorchGaussian(law.loc, law.scale)
    if isinstance(law, MultivariateNormal | LowRankMultivariateNormal):
        factor: Tensor = law.scale_tril
        std = factor.square().sum(-1).sqrt()
        alone = bool((factor.tril(-1) == 0.0).all())
        return TorchGaussian(law.loc.expand_as(std), std, None if alone else factor)
    if isinstance(law, TransformedDistribution):
        return _moved(gaussian_of(law.base_dist), law.transforms)
    return None


def _moved(base: TorchGaussian | None, transforms: list[Transform]) -> TorchGaussian | None:
    for transform in transforms:
        if isinstance(transform, IndependentTransform):
            base = _moved(base, [transform.base_transform])
        elif isinstance(transform, ComposeTransform):
            base = _moved(base, transform.parts)
        elif base is not None and isinstance(transform, AffineTransform):
            shift, scale = (torch.as_tensor(part).to(base.loc) for part in (transform.loc, transform.scale))
            base = base.moved(shift, scale)
        else:
            return None
    return base
