"""Anybody's VAE behind two callables, as what the estimators ask of a model."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.any_vae.gradients_in_z import stated
from lambda_vae.any_vae.latents import Latents
from lambda_vae.any_vae.outputs import finite_densities
from lambda_vae.any_vae.posteriors import finite_posterior, posterior
from lambda_vae.any_vae.tensors import shape_of
from lambda_vae.distributions import DiagGaussian, FullGaussian, standard_normal
from lambda_vae.distributions.base import LikelihoodDistribution
from lambda_vae.equalization import Equalization
from lambda_vae.errors import InputError
from lambda_vae.estimation.examples import taken

__all__ = ["Encode", "ExternalVAE", "LogLikelihood"]

#: x -> mu and a second tensor, each [B, *latent], or a Gaussian of torch.distributions of that shape; conditions come
#: behind x.
Encode = Callable[..., object]
#: (x, z) -> log p(x|z) in nats, [B]; x as the data give it, z [B, *latent]; conditions come behind z.
LogLikelihood = Callable[..., Tensor]


@dataclass(frozen=True, eq=False)
class _Known:
    """p(x|z) by its value: samples are put behind one another, so that no callable needs to know of a sample axis."""

    z: Float[Tensor, "*batch D"]
    log_likelihood: LogLikelihood
    latents: Latents
    conditions: tuple[object, ...] = ()
    slope: float | None = None

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x|z) in nats, [..., B].

        Raises:
            InputError: It is not finite.
        """
        lead = self.z.shape[:-1]
        rows = self.z.reshape(-1, self.z.shape[-1])
        copies = len(rows) // len(x)
        repeated, conditions = x, self.conditions
        if copies > 1:
            repeated = x.repeat(copies, *[1] * (x.dim() - 1))
            index = torch.arange(len(x)).repeat(copies)
            conditions = tuple(taken(one, index) for one in conditions)
        if self.slope is None:
            log_p = self.log_likelihood(repeated, self.latents.latent(rows), *conditions)
        else:
            with torch.no_grad():
                log_p = self.log_likelihood(repeated, self.latents.latent(rows.detach()), *conditions).clone()
            log_p = stated(rows, log_p, self.slope)
        finite_densities(log_p.detach())
        return log_p.reshape(lead)


@dataclass(frozen=True, eq=False)
class _Absent:
    """p(x|z) of which nothing is known."""

    z: Float[Tensor, "*batch D"]

    def log_prob(self, x: Tensor) -> Tensor:
        """Return NaN, [..., B], and NaN for its gradient."""
        return self.z.sum(-1) * torch.nan


@dataclass(frozen=True, eq=False)
class ExternalVAE:
    """A model that this project has never seen; the prior is N(0, I).

    Args:
        encoder: x -> q(z|x).
        log_likelihood: (x, z) -> log p(x|z); None where it is not known.
        latents: The shape of its code.
        decoder: z [N, D * sites] -> theta, where it is known; conditions come behind z.
        likelihood: theta -> p(x|z), likewise.
        equalization: q_1(z|x) -> q_lambda(z|x).
        takes: What encode's second tensor is.
        correlated: Whether the posterior has a full covariance.
        slope: Of log p(x|z) in z where torch does not know it: 0 where z changes nothing, else NaN.
        notes: What to know of its callables when its numbers are read.
        conditions: None, or those of some examples; both callables are given them last.
        whole: Whether encode answers its one batch as a whole alone, as a graph's does.
    """

    encoder: Encode
    log_likelihood: LogLikelihood | None
    latents: Latents
    device: torch.device
    decoder: Callable[..., Tensor]
    likelihood: Callable[[Tensor], LikelihoodDistribution] | None = None
    equalization: Equalization = field(default_factory=Equalization)
    takes: str | None = None
    correlated: bool = False
    slope: float | None = None
    notes: tuple[str, ...] = ()
    conditions: tuple[object, ...] = ()
    whole: bool = False

    def given(self, conditions: object) -> "ExternalVAE":
        """Return p(x, z|c) of the examples with these conditions, in their order."""
        return replace(self, conditions=(conditions,), decoder=partial(self._decoder_given, conditions))

    @property
    def nature(self) -> dict[str, Any]:
        """What a report must know of it: the options of `compute_report` that a caller has no say in."""
        return {"whole": self.whole, "sites": self.latents.sites, "differentiated": self.differentiated}

    def _decoder_given(self, conditions: object, rows: Tensor) -> Tensor:
        return self.decoder(rows, conditions)

    @property
    def differentiated(self) -> bool:
        """Whether the gradient of log p(x|z) in z is known."""
        return self.log_likelihood is not None and self.slope in (None, 0.0)

    @property
    def latent_dim(self) -> int:
        """How many numbers the code has."""
        return self.latents.dim * self.latents.sites

    def encode(self, x: Tensor) -> DiagGaussian | FullGaussian:
        """Return q_1(z|x).

        Raises:
            InputError: An answer that is none, not finite, or of another shape than the first batch's.
        """
        q = posterior(self.encoder(x, *self.conditions), x, self.takes)
        if q.mu.shape[1:] != self.latents.shape:
            raise InputError(
                f"encode returned mu {shape_of(q.mu)} for a later batch, where the first had [B, "
                f"{', '.join(map(str, self.latents.shape))}]; every example needs a latent of the same shape"
            )
        finite_posterior(q)
        return q.over_rows(self.latents)

    def p_z(self) -> DiagGaussian:
        """Return N(0, I)."""
        return standard_normal(self.latent_dim, torch.empty((), device=self.device))

    def decode(self, z: Float[Tensor, "*batch D"]) -> LikelihoodDistribution:
        """Return p(x|z)."""
        if self.log_likelihood is None:
            return _Absent(z)
        return _Known(z, self.log_likelihood, self.latents, self.conditions, self.slope)
