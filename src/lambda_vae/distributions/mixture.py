"""The mixture of diagonal Gaussians with equal weights."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from lambda_vae.deprecated import OldDraw
from lambda_vae.distributions.base import Sample, at_least_float32
from lambda_vae.distributions.gaussian import DiagGaussian
from lambda_vae.errors import InputError

__all__ = ["GaussianMixture"]

_LOG_2PI = math.log(2.0 * math.pi)

#: Pairs of a point and a component that are computed together: 64 MiB of float64.
_PAIRS_PER_PASS = 2**23


@dataclass(frozen=True, eq=False)
class GaussianMixture(OldDraw):
    """1/M sum_m N(means_m, diag(exp(logvars_m))): one mixture, or one for each example.

    `mu`, `logvar` and `std` are those of its marginals. A draw takes one standard normal number more than z has
    dimensions: the last one picks the component.

    Args:
        means: [M, D], or [B, M, D].
        logvars: ln sigma^2, the same shape.

    Raises:
        InputError: There are no components.

    Example:
        >>> two = GaussianMixture(torch.tensor([[-3.0], [3.0]]), torch.zeros(2, 1))
        >>> two.rsample(torch.tensor([[0.0, -1.0], [0.0, 1.0]])), two.marginals().var
        (tensor([[-3.],
                [ 3.]]), tensor([10.]))
    """

    means: Float[Tensor, "*batch M D"]
    logvars: Float[Tensor, "*batch M D"]

    def __post_init__(self) -> None:
        if not self.components:
            raise InputError("a mixture has 0 components; give it at least 1")
        object.__setattr__(self, "means", at_least_float32(self.means))
        object.__setattr__(self, "logvars", at_least_float32(self.logvars))

    @property
    def components(self) -> int:
        """M."""
        return self.means.shape[-2]

    @property
    def noise_dim(self) -> int:
        """D + 1: one number a dimension, and one for the component."""
        return self.means.shape[-1] + 1

    @property
    def mu(self) -> Float[Tensor, "*batch D"]:
        """The means of the marginals, [..., D]."""
        return self._marginals.mu

    @property
    def logvar(self) -> Float[Tensor, "*batch D"]:
        """Ln of the marginals' variances, [..., D]."""
        return self._marginals.logvar

    @property
    def std(self) -> Float[Tensor, "*batch D"]:
        """Standard deviations of the marginals, [..., D]."""
        return self._marginals.std

    # Held, for q.logvar must be one and the same tensor every time: `VAE.sampled` asks whether it changed.
    @cached_property
    def _marginals(self) -> DiagGaussian:
        spread = self.means.var(-2, unbiased=False)
        return DiagGaussian(self.means.mean(-2), torch.log(self.logvars.exp().mean(-2) + spread))

    def marginals(self) -> DiagGaussian:
        """Return the Gaussian with the mixture's own means and variances: the law of total variance, exactly."""
        return self._marginals

    def with_logvar(self, logvar: Float[Tensor, "*batch D"]) -> NoReturn:
        """Refuse: a mixture has no one sigma that could be replaced.

        Raises:
            InputError: Always.
        """
        raise InputError("lambda needs one Gaussian to act on, and this q is a mixture; use a Gaussian posterior")

    def rsample(self, eps: Float[Tensor, "*sample noise"]) -> Float[Tensor, "*sample D"]:
        """Return one draw for each eps, differentiable in the parameters of the component that was picked.

        Args:
            eps: Standard normal noise, [..., D + 1]; [..., B, D + 1] for one mixture an example.
        """
        place = torch.special.ndtr(eps[..., -1]) * self.components
        picked = place.long().clamp(0, self.components - 1)
        example = (torch.arange(self.means.shape[0], device=eps.device),) if self.means.ndim > 2 else ()
        return self.means[(*example, picked)] + torch.exp(0.5 * self.logvars[(*example, picked)]) * eps[..., :-1]

    def rsample_and_log_prob(self, eps: Float[Tensor, "*sample noise"]) -> Sample:
        """Return `rsample(eps)` with its log density."""
        z = self.rsample(eps)
        return Sample(z, lambda: self.log_prob(z))

    def log_prob(self, z: Float[Tensor, "*sample D"]) -> Float[Tensor, "*sample_batch"]:
        """Return the log density at z in nats.

        Args:
            z: Points, [..., D]; [..., B, D] for one mixture an example.
        """
        size = z.shape[:-1]
        rows = z.reshape(-1, *self.means.shape[:-2], z.shape[-1])
        per_pass = max(1, _PAIRS_PER_PASS // self.logvars[..., 0].numel())
        return torch.cat([self._log_prob(part) for part in torch.split(rows, per_pass)]).reshape(size).to(z.dtype)

    def _log_prob(self, z: Float[Tensor, "*rows D"]) -> Float[Tensor, "*rows"]:
        # The square multiplied out costs two matrix products instead of N * M * D differences. What it cancels is lost
        # in float32 (narrow components far from 0), not in float64, which all devices but MPS have.
        wide = torch.float32 if z.device.type == "mps" else torch.float64
        z, means, logvars = z.to(wide), self.means.to(wide), self.logvars.to(wide)
        precision = torch.exp(-logvars)
        squared = _products(z.square(), precision) - 2.0 * _products(z, means * precision)
        constant = (means.square() * precision + logvars + _LOG_2PI).sum(-1)
        return torch.logsumexp(-0.5 * (squared + constant), -1) - math.log(self.components)

    def to_torch(self) -> MixtureSameFamily:
        """Return the same distribution as torch.distributions has it."""
        components = Independent(Normal(self.means, torch.exp(0.5 * self.logvars)), 1)
        return MixtureSameFamily(Categorical(logits=torch.zeros_like(self.means[..., 0])), components)


def _products(z: Float[Tensor, "*rows D"], weights: Float[Tensor, "*batch M D"]) -> Float[Tensor, "*rows M"]:
    """Inner products of every point with every component of its mixture."""
    if weights.ndim == 2:
        return z @ weights.T
    return (z.transpose(0, 1) @ weights.transpose(-1, -2)).transpose(0, 1)
