"""What `encode` answered, as a Gaussian over latents of any shape."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from lambda_vae.any_vae.latents import Latents
from lambda_vae.any_vae.parametrisations import logvar_from
from lambda_vae.any_vae.tensors import require_finite, shape_of, two_tensors
from lambda_vae.any_vae.torch_gaussians import gaussian_of
from lambda_vae.distributions import DiagGaussian, FullGaussian
from lambda_vae.distributions.base import at_least_float32
from lambda_vae.errors import InputError

__all__ = ["GaussianOutput", "as_rows", "finite_posterior", "posterior", "whole_factor"]


@dataclass(frozen=True, eq=False)
class GaussianOutput:
    """q(z|x) of a batch.

    Args:
        mu: Means, [B, *latent], in the host's own precision.
        logvar: ln sigma^2 of the marginals, [B, *latent], float32 at least.
        factor: Lower Cholesky factor along the last axis of the latent, [B, ..., D, D]; None for a diagonal Gaussian.
    """

    mu: Tensor
    logvar: Tensor
    factor: Tensor | None = None

    def over_rows(self, latents: Latents) -> DiagGaussian | FullGaussian:
        """Return it over rows [B, D * sites]."""
        mu = latents.rows(at_least_float32(self.mu))
        if self.factor is None:
            return DiagGaussian(mu, latents.rows(self.logvar))
        return FullGaussian(mu, as_rows(self.factor, latents))


def posterior(answer: object, x: Tensor, takes: str | None = None) -> GaussianOutput:
    """Return the Gaussian that `encode` answered with.

    Raises:
        InputError: Something else.
    """
    found = _distribution(answer, x) if isinstance(answer, Distribution) else _pair(answer, x, takes)
    mu, logvar = found.mu, found.logvar
    if not mu.is_floating_point():
        raise InputError(f"encode returned mu in {str(mu.dtype).removeprefix('torch.')}; it must be of floats")
    if mu.shape != logvar.shape or mu.dim() < 2 or len(mu) != len(x):
        raise InputError(
            f"encode returned mu {shape_of(mu)} and logvar {shape_of(logvar)} for a batch of {len(x)}; both must be "
            f"[{len(x)}, ...] with one number for each latent site"
        )
    return found


def _pair(answer: object, x: Tensor, takes: str | None) -> GaussianOutput:
    # Tensors made in inference mode cannot be differentiated through; a copy can.
    mu, second = (part.clone() if part.is_inference() else part for part in two_tensors(answer, x))
    return GaussianOutput(mu, logvar_from(second, takes))


def _distribution(law: Distribution, x: Tensor) -> GaussianOutput:
    found = gaussian_of(law)
    if found is None:
        inner = law
        while hasattr(inner, "base_dist"):
            inner = inner.base_dist
        raise InputError(
            f"encode returned a {type(inner).__name__}; only Gaussian posteriors are measured (Normal, "
            "MultivariateNormal, LowRankMultivariateNormal, alone or within Independent), and no (mu, logvar) stands "
            "for another distribution"
        )
    mu, std, factor = (
        part.clone() if part is not None and part.is_inference() else part
        for part in (found.loc, found.std, found.factor)
    )
    assert mu is not None
    assert std is not None
    return GaussianOutput(mu, 2.0 * at_least_float32(std).log(), factor)


def whole_factor(factor: Tensor, examples: int) -> Tensor:
    """Return the factor of all numbers of the latent, [B, N, N], from that along its last axis, [B, ..., D, D]."""
    blocks = factor.reshape(examples, -1, *factor.shape[-2:])
    count = blocks.shape[1]
    placed = torch.einsum("btij,ts->btisj", blocks, torch.eye(count, dtype=blocks.dtype, device=blocks.device))
    return placed.reshape(examples, count * blocks.shape[-1], -1)


def as_rows(factor: Tensor, latents: Latents) -> Tensor:
    """Return a factor along the last axis of the latent as that of its rows, [B, N, N], lower triangular."""
    whole = whole_factor(factor, len(factor))
    order = latents.rows(torch.arange(whole.shape[-1], device=whole.device).reshape(1, *latents.shape))[0]
    if bool((order[1:] > order[:-1]).all()):
        return whole
    moved = whole[:, order].double()
    again: Tensor = torch.linalg.cholesky(moved @ moved.mT)
    return again.to(whole.dtype)


def finite_posterior(answer: GaussianOutput) -> None:
    """Raise unless q is finite."""
    for name, values in (("mu", answer.mu), ("logvar", answer.logvar)):
        require_finite(f"{name} of encode", values, "a logvar without bounds, a log of 0, or NaN in the data")
