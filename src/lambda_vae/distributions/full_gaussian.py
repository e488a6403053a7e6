"""The Gaussian with a full covariance."""

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import MultivariateNormal

from lambda_vae.distributions.base import Sample, at_least_float32
from lambda_vae.distributions.gaussian import DiagGaussian

__all__ = ["FullGaussian", "kl_from_diagonal"]

_LOG_2PI = math.log(2.0 * math.pi)


@dataclass(frozen=True, eq=False)
class FullGaussian:
    """N(mu, L L^T).

    `logvar` and `std` are those of its marginals, and they are what lambda acts on: the correlations stay.

    Args:
        mu: Means, [..., D].
        factor: L, lower triangular with a positive diagonal, [..., D, D].

    Example:
        >>> q = FullGaussian(torch.zeros(1, 2), torch.tensor([[[1.0, 0.0], [0.6, 0.8]]]))
        >>> q.rsample(torch.tensor([[1.0, 1.0]])), q.marginals().std
        (tensor([[1.0000, 1.4000]]), tensor([[1., 1.]]))
    """

    mu: Float[Tensor, "*batch D"]
    factor: Float[Tensor, "*batch D D"]
    logvar: Float[Tensor, "*batch D"] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mu", at_least_float32(self.mu))
        object.__setattr__(self, "factor", at_least_float32(self.factor))
        object.__setattr__(self, "logvar", self.factor.square().sum(-1).log())

    @property
    def std(self) -> Float[Tensor, "*batch D"]:
        """Sigma of the marginals, [..., D]."""
        return torch.exp(0.5 * self.logvar)

    @property
    def noise_dim(self) -> int:
        """D: one number a dimension."""
        return self.mu.shape[-1]

    def marginals(self) -> DiagGaussian:
        """Return the diagonal Gaussian with the same means and variances."""
        return DiagGaussian(self.mu, self.logvar)

    def with_logvar(self, logvar: Float[Tensor, "*batch D"]) -> "FullGaussian":
        """Return the Gaussian with the same means and correlations and other variances."""
        if logvar is self.logvar:
            return self
        return FullGaussian(self.mu, torch.exp(0.5 * (logvar - self.logvar))[..., None] * self.factor)

    def rsample(self, eps: Float[Tensor, "*sample D"]) -> Float[Tensor, "*sample D"]:
        """Return mu + L eps."""
        return self.mu + (self.factor @ eps[..., None])[..., 0]

    def rsample_and_log_prob(self, eps: Float[Tensor, "*sample D"]) -> Sample:
        """Return `rsample(eps)` with its log density."""
        return Sample(self.rsample(eps), lambda: -0.5 * (eps.square() + _LOG_2PI).sum(-1) - self._half_logdet)

    def log_prob(self, z: Float[Tensor, "*sample D"]) -> Float[Tensor, "*sample_batch"]:
        """Return the log density at z in nats."""
        eps: Tensor = torch.linalg.solve_triangular(self.factor, (z - self.mu)[..., None], upper=False)[..., 0]
        return -0.5 * (eps.square() + _LOG_2PI).sum(-1) - self._half_logdet

    @property
    def _half_logdet(self) -> Float[Tensor, "*batch"]:
        return self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def kl(self, p: "DiagGaussian | FullGaussian") -> Float[Tensor, "*batch"]:
        r"""KL(self || p) in nats, computed in float64.

        .. math:: \tfrac12 \bigl(\|L_p^{-1} L\|_F^2 - D + |L_p^{-1}(\mu - \mu_p)|^2\bigr) + \ln|L_p| - \ln|L|

        Args:
            p: Right side; broadcasts against self.

        Source:
            Bishop 2006, *Pattern Recognition and Machine Learning*, Eq. 2.42 and 2.43, with Cholesky factors.
        """
        q, p = FullGaussian(self.mu.double(), self.factor.double()), _full(p)
        factor = p.factor.expand_as(q.factor)
        whitened = torch.linalg.solve_triangular(factor, q.factor, upper=False)
        apart = torch.linalg.solve_triangular(factor, (q.mu - p.mu)[..., None], upper=False)
        squares = whitened.square().sum((-2, -1)) + apart.square().sum((-2, -1)) - q.noise_dim
        divergence: Tensor = 0.5 * squares + p._half_logdet - q._half_logdet
        return divergence

    def to_torch(self) -> MultivariateNormal:
        """Return the same distribution as torch.distributions has it."""
        return MultivariateNormal(self.mu, scale_tril=self.factor)


def _full(q: DiagGaussian | FullGaussian) -> FullGaussian:
    factor = torch.diag_embed(q.std.double()) if isinstance(q, DiagGaussian) else q.factor.double()
    return FullGaussian(q.mu.double(), factor)


def kl_from_diagonal(q: DiagGaussian, p: FullGaussian) -> Float[Tensor, "*batch"]:
    """KL(q || p) in nats, float64."""
    return _full(q).kl(p)
