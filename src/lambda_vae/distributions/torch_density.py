"""A prior that is a torch distribution, in units of its own means and standard deviations."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent

from lambda_vae.distributions.gaussian import DiagGaussian, standard_normal

__all__ = ["TorchDensity"]

#: Nodes of the quadrature over one dimension.
_NODES = 64


@dataclass(frozen=True, eq=False)
class TorchDensity:
    """The density of (z - loc) / scale, z from a torch distribution.

    Args:
        law: Over latents of any shape.
        as_latent: [..., D] in rows to latents [..., *shape].
        loc: Its means, [D].
        scale: Its standard deviations, [D].

    Example:
        >>> from torch.distributions import Laplace
        >>> p = TorchDensity(Laplace(1.0, 2.0), lambda z: z, torch.ones(1), torch.full((1,), 8.0**0.5))
        >>> float(p.log_prob(torch.zeros(1, 1)).exp() - 8.0**0.5 / 4.0)
        0.0
    """

    law: Distribution
    as_latent: Callable[[Tensor], Tensor]
    loc: Float[Tensor, " D"]
    scale: Float[Tensor, " D"]

    @property
    def noise_dim(self) -> int:
        """D."""
        return len(self.loc)

    def marginals(self) -> DiagGaussian:
        """Return N(0, I): these are its units."""
        return standard_normal(self.noise_dim, self.loc)

    def rsample(self, eps: Float[Tensor, "*sample D"]) -> Float[Tensor, "*sample D"]:
        """Return N(0, I)'s draw, which has its means and variances: a torch distribution takes no noise."""
        return eps

    def log_prob(self, z: Float[Tensor, "*sample D"]) -> Float[Tensor, "*sample_batch"]:
        """Return the log density at z in nats."""
        return self._each(z).reshape(*z.shape[:-1], -1).sum(-1) + self.scale.log().sum()

    @property
    def _base(self) -> Distribution:
        base = self.law
        while isinstance(base, Independent):
            base = base.base_dist
        return base

    def _each(self, z: Tensor) -> Tensor:
        log_p: Tensor = self._base.log_prob(self.as_latent(self.loc + self.scale * z))
        return log_p

    @property
    def factorised(self) -> bool:
        """Whether no two numbers of z vary together."""
        return not self._base.event_shape

    def kl_each(self, q: DiagGaussian) -> Float[Tensor, "B D"] | None:
        """Return KL(q_i || p_i) in nats by Gauss-Hermite quadrature, float64; None where p does not factorise.

        Args:
            q: Left side, [B, D].

        Source:
            Abramowitz and Stegun 1964, 25.4.46; exact for log densities that are polynomials, and within 0.01 nats for
            those with a kink, such as a Laplace's.
        """
        if not self.factorised:
            return None
        nodes, weights = (part.to(q.mu.device) for part in _hermite())
        mu, std = q.mu.double(), q.std.double()
        log_p = torch.zeros_like(mu)
        for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
            at = self._each((mu + std * node).to(self.loc.dtype)).double()
            log_p = log_p + weight * self._rows(at)
        return -0.5 * (q.logvar.double() + 1.0 + float(np.log(2.0 * np.pi))) - log_p - self.scale.double().log()

    def _rows(self, each: Tensor) -> Tensor:
        """What latents [B, *shape] hold, in rows again: the place of every number is asked for."""
        order = self.as_latent(torch.arange(self.noise_dim, device=each.device)[None]).flatten()
        rows = torch.empty_like(each.flatten(1))
        rows[:, order.long()] = each.flatten(1)
        return rows

    def kl_from(self, q: DiagGaussian) -> Float[Tensor, " B"] | None:
        """Return KL(q || self) in nats, float64; None where p does not factorise."""
        each = self.kl_each(q)
        return None if each is None else each.sum(-1)


@lru_cache
def _hermite() -> tuple[Tensor, Tensor]:
    """Nodes and weights of the mean under N(0, 1)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    return torch.from_numpy(nodes), torch.from_numpy(weights / weights.sum())
