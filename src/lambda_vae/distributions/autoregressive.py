"""The Gaussian whose dimensions follow one another."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions.gaussian import DiagGaussian

__all__ = ["AutoregressiveGaussian"]


@dataclass(frozen=True, eq=False)
class AutoregressiveGaussian:
    """z_i = alpha_i z_(i-1) + sqrt(1 - alpha_i^2) eps_i: every dimension has variance 1, and leans on the one before.

    Args:
        alpha: [D], each in (-1, 1); the first must be 0, as nothing comes before it.

    Source:
        Razavi et al. 2019, arXiv:1901.03416, section 2.2.

    Example:
        >>> p = AutoregressiveGaussian(torch.tensor([0.0, 0.6]))
        >>> p.rsample(torch.tensor([1.0, 0.0]))
        tensor([1.0000, 0.6000])
    """

    alpha: Float[Tensor, " D"]

    @property
    def noise_dim(self) -> int:
        """D: one number a dimension."""
        return self.alpha.shape[-1]

    @property
    def _innovations(self) -> DiagGaussian:
        """The distribution of what each dimension has of its own."""
        return DiagGaussian(torch.zeros_like(self.alpha), torch.log1p(-self.alpha.square()))

    def marginals(self) -> DiagGaussian:
        """Return N(0, I)."""
        return DiagGaussian(torch.zeros_like(self.alpha), torch.zeros_like(self.alpha))

    def rsample(self, eps: Float[Tensor, "*sample D"]) -> Float[Tensor, "*sample D"]:
        """Return draws, [..., D]."""
        first, *others = self._innovations.rsample(eps).unbind(-1)
        z = [first]
        for alpha, own in zip(self.alpha[1:], others, strict=True):
            z.append(alpha * z[-1] + own)
        return torch.stack(z, -1)

    def log_prob(self, z: Float[Tensor, "*sample D"]) -> Float[Tensor, "*sample_batch"]:
        """Return the log density at z in nats."""
        return self._innovations.log_prob(z - self.alpha * _before(z))

    def kl_from(self, q: DiagGaussian) -> Float[Tensor, "*batch"]:
        r"""KL(q || self) in nats.

        .. math:: \sum_i KL\bigl(N(\mu_i - \alpha_i \mu_{i-1}, \sigma_i^2) \,\|\, N(0, 1 - \alpha_i^2)\bigr)
            + \frac{\alpha_i^2 \sigma_{i-1}^2}{2 (1 - \alpha_i^2)}

        Args:
            q: Left side, parameters of shape [..., D].
        """
        own = DiagGaussian(q.mu - self.alpha * _before(q.mu), q.logvar)
        variance = self.alpha.square() * _before(q.var) * torch.exp(-self._innovations.logvar)
        return (own.kl_per_dim(self._innovations) + 0.5 * variance).sum(-1)

    @staticmethod
    def least_kl(log_innovation: float, dim: int) -> float:
        r"""The least KL(q || p) in nats that a diagonal Gaussian q can have, one alpha in all dimensions.

        .. math:: \tfrac12 \bigl[(D - 2) \ln(1 + \alpha^2) - \ln(1 - \alpha^2)\bigr]

        It is taken at mu = 0, sigma_i^2 = 1 - alpha^2 at both ends and (1 - alpha^2)/(1 + alpha^2) between.

        Args:
            log_innovation: ln(1 - alpha^2), which keeps its digits where alpha is near 1.
            dim: D, >= 2.

        Source:
            Razavi et al. 2019, arXiv:1901.03416, section 2.2 and Appendix C. Deviation: D dimensions exactly, where
            the paper's bound sums equal terms.
        """
        return 0.5 * ((dim - 2) * math.log1p(-math.expm1(log_innovation)) - log_innovation)


def _before(z: Float[Tensor, "*sample D"]) -> Float[Tensor, "*sample D"]:
    """What z is in the dimension before; 0 for the first."""
    return torch.nn.functional.pad(z[..., :-1], (1, 0))
