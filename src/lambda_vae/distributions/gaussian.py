"""The diagonal Gaussian: the only file where logvar becomes sigma."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from lambda_vae.deprecated import OldDraw, old_name
from lambda_vae.distributions.base import Sample, at_least_float32
from lambda_vae.distributions.likelihood import Likelihood
from lambda_vae.equalization.theory import sampling_logvar
from lambda_vae.rng import normal

__all__ = ["DiagGaussian", "GaussianLikelihood", "standard_normal"]

_LOG_2PI = math.log(2.0 * math.pi)


@dataclass(frozen=True, eq=False)
class DiagGaussian(OldDraw):
    """N(mu, diag(exp(logvar))).

    Half and bfloat16 parameters become float32, so that no KL and no sample is computed in reduced precision.

    Args:
        mu: Means, [..., D].
        logvar: ln sigma^2, [..., D].

    Example:
        >>> q = DiagGaussian(torch.zeros(3, 2), torch.zeros(3, 2))
        >>> q.kl(standard_normal(2))
        tensor([0., 0., 0.])
    """

    mu: Float[Tensor, "*#batch D"]
    logvar: Float[Tensor, "*#batch D"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "mu", at_least_float32(self.mu))
        object.__setattr__(self, "logvar", at_least_float32(self.logvar))

    @property
    def std(self) -> Float[Tensor, "*batch D"]:
        """sigma, [..., D]."""
        return torch.exp(0.5 * self.logvar)

    @property
    def var(self) -> Float[Tensor, "*batch D"]:
        """sigma^2, [..., D]."""
        return torch.exp(self.logvar)

    @property
    def mean(self) -> Float[Tensor, "*batch D"]:
        """The mean, mu, [..., D]."""
        return self.mu

    @property
    def noise_dim(self) -> int:
        """D: one number a dimension."""
        return self.mu.shape[-1]

    def marginals(self) -> "DiagGaussian":
        """Return the distribution itself: it is its own marginals."""
        return self

    def with_logvar(self, logvar: Float[Tensor, "*batch D"]) -> "DiagGaussian":
        """Return N(mu, exp(logvar)); the distribution itself if that is its own logvar."""
        return self if logvar is self.logvar else DiagGaussian(self.mu, logvar)

    def equalized(self, exponent: Float[Tensor, " D"] | None) -> "DiagGaussian":
        """Return `Equalization(exponent).sampled(q)`, by its name in the last release."""
        old_name("DiagGaussian.equalized(exponent)", "lambda_vae.equalization.Equalization(exponent).sampled(q)")
        return self if exponent is None else self.with_logvar(sampling_logvar(self.logvar, exponent))

    def rsample_and_log_prob(self, eps: Float[Tensor, "*sample D"]) -> Sample:
        """Return `rsample(eps)` with its log density, which is -(eps^2 + ln sigma^2 + ln 2 pi)/2, summed."""
        return Sample(self.rsample(eps), lambda: -0.5 * (eps.square() + self.logvar + _LOG_2PI).sum(-1))

    def rsample(self, eps: Float[Tensor, "*sample D"]) -> Float[Tensor, "*sample D"]:
        """Return mu + sigma * eps, differentiable in mu and logvar."""
        return self.mu + self.std * eps

    def sample(self, generator: torch.Generator | None = None) -> Float[Tensor, "*batch D"]:
        """Return a draw, as a likelihood gives one."""
        return self.rsample(normal(self.mu.shape, generator, self.mu.device))

    def log_prob(self, z: Float[Tensor, "*sample D"]) -> Float[Tensor, "*sample_batch"]:
        """Return the log density at z in nats, summed over the last axis."""
        squared = (z - self.mu).square() * torch.exp(-self.logvar)
        return -0.5 * (squared + self.logvar + _LOG_2PI).sum(-1)

    def kl_per_dim(self, p: "DiagGaussian") -> Float[Tensor, "*batch D"]:
        r"""KL(self || p) in nats, one for each dimension, >= 0.

        .. math:: \tfrac12 \bigl(e^{r} - 1 - r + (\mu - \mu_p)^2 / \sigma_p^2\bigr),
            \quad r = \ln\sigma^2 - \ln\sigma_p^2

        Args:
            p: Right side; broadcasts against self.

        Returns:
            [..., D].

        Source:
            Kingma and Welling 2014, arXiv:1312.6114, Appendix B. Deviation: general p; expm1 keeps its digits near
            collapse.
        """
        ratio = self.logvar - p.logvar
        return 0.5 * (torch.expm1(ratio) - ratio + (self.mu - p.mu).square() * torch.exp(-p.logvar))

    def kl(self, p: "DiagGaussian") -> Float[Tensor, "*batch"]:
        """KL(self || p) in nats, summed over the last axis, >= 0.

        Args:
            p: Right side; broadcasts against self.
        """
        return self.kl_per_dim(p).sum(-1)

    def to_torch(self) -> Distribution:
        """Return the same distribution as torch.distributions has it, batch shape [...] and event shape [D]."""
        return Independent(Normal(self.mu, self.std), 1)


def standard_normal(dim: int, like: Tensor | None = None) -> DiagGaussian:
    """Return N(0, I) of `dim` dimensions.

    Args:
        dim: D.
        like: On its device and in its precision; float32 on the CPU if left out.
    """
    zeros = torch.zeros(dim) if like is None else like.new_zeros(dim)
    return DiagGaussian(zeros, zeros.clone())


class GaussianLikelihood(Likelihood):
    """p(x|z) = N(theta, diag(exp(logvar))) with one learned logvar for each feature.

    The observation noise is learned and no constant is dropped, so that log p(x|z) is a density that can be compared
    between runs.

    Args:
        features: F, the length of x.
    """

    def __init__(self, features: int) -> None:
        super().__init__(features)
        self.logvar = nn.Parameter(torch.zeros(features))

    def forward(self, theta: Float[Tensor, "*batch F"]) -> DiagGaussian:
        """Return N(theta, diag(exp(logvar)))."""
        return DiagGaussian(theta, self.logvar)
