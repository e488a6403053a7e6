"""The mixture of Gaussians with full covariances and any weights."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from lambda_vae.distributions.gaussian import DiagGaussian
from lambda_vae.errors import InputError

__all__ = ["FullGaussianMixture"]

#: Numbers held at once while densities are computed: 64 MiB of float64.
_NUMBERS_PER_PASS = 2**23


@dataclass(frozen=True, eq=False)
class FullGaussianMixture:
    """sum_m w_m N(means_m, L_m L_m^T); one component is the Gaussian with a full covariance.

    A draw takes one standard normal number more than z has dimensions: the last one picks the component. Computed in
    float64, given back in the precision of what came in.

    Args:
        weights: Positive, sum 1, [M].
        means: [M, D].
        factors: Lower Cholesky factors L of the covariances, [M, D, D].

    Raises:
        InputError: There are no components.

    Example:
        >>> one = FullGaussianMixture(torch.ones(1), torch.zeros(1, 2), torch.eye(2)[None])
        >>> one.rsample(torch.tensor([[1.0, 2.0, 0.0]])), one.log_prob(torch.zeros(1, 2))
        (tensor([[1., 2.]]), tensor([-1.8379]))
    """

    weights: Float[Tensor, " M"]
    means: Float[Tensor, "M D"]
    factors: Float[Tensor, "M D D"]

    def __post_init__(self) -> None:
        if not len(self.weights):
            raise InputError("a mixture has 0 components; give it at least 1")
        for name in ("weights", "means", "factors"):
            object.__setattr__(self, name, getattr(self, name).double())

    @property
    def noise_dim(self) -> int:
        """D + 1: one number a dimension, and one for the component."""
        return self.means.shape[-1] + 1

    def rsample(self, eps: Float[Tensor, "*sample noise"]) -> Float[Tensor, "*sample D"]:
        """Return one draw for each eps.

        Args:
            eps: Standard normal noise, [..., D + 1].
        """
        place = torch.special.ndtr(eps[..., -1].double().contiguous())
        picked = torch.searchsorted(self.weights.cumsum(0), place).clamp(max=len(self.weights) - 1)
        noise = torch.zeros_like(eps[..., :-1], dtype=torch.float64)
        for component, factor in enumerate(self.factors):  # a factor for every draw would take D times the memory
            chosen = picked == component
            noise[chosen] = eps[..., :-1][chosen].double() @ factor.T
        return (self.means[picked] + noise).to(eps.dtype)

    def log_prob(self, z: Float[Tensor, "*sample D"]) -> Float[Tensor, "*sample_batch"]:
        """Return the log density at z in nats."""
        mixture = self.to_torch()
        rows = z.double().reshape(-1, z.shape[-1])
        per_pass = max(1, _NUMBERS_PER_PASS // self.means.numel())
        parts = [mixture.log_prob(part) for part in torch.split(rows, per_pass)]  # type: ignore[no-untyped-call]
        return torch.cat(parts).reshape(z.shape[:-1]).to(z.dtype)

    def to_torch(self) -> MixtureSameFamily:
        """Return the same distribution as torch.distributions has it, in float64."""
        return MixtureSameFamily(
            Categorical(self.weights, validate_args=False),
            MultivariateNormal(self.means, scale_tril=self.factors, validate_args=False),
            validate_args=False,
        )

    def marginals(self) -> DiagGaussian:
        """Return the Gaussian with the mixture's own means and variances: the law of total variance, exactly."""
        mean = self.weights @ self.means
        within = self.factors.square().sum(-1)
        var = self.weights @ (within + (self.means - mean).square())
        return DiagGaussian(mean.float(), var.log().float())
