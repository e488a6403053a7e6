"""`prior=`: any torch distribution, or a callable of the batch; codes are measured in its units, where it is N(0, I).

Every measure of a VAE with the prior N(m, s^2) is that of the same VAE with codes (z - m)/s and the prior N(0, I): KL,
S over the prior's variance, sigma over its deviation, gradients, bounds. So a dimension has collapsed where q is p,
whatever p is, and moves with x.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from lambda_vae.any_vae.external import ExternalVAE
from lambda_vae.any_vae.latents import Latents
from lambda_vae.any_vae.posteriors import as_rows
from lambda_vae.any_vae.torch_gaussians import TorchGaussian, gaussian_of
from lambda_vae.distributions import Density, DiagGaussian, FullGaussian, standard_normal
from lambda_vae.distributions.base import LikelihoodDistribution
from lambda_vae.distributions.torch_density import TorchDensity
from lambda_vae.equalization import Equalization
from lambda_vae.errors import InputError

__all__ = ["Prior", "UnderPrior", "check_prior"]

#: A distribution of z; or x, and conditions behind it, to one of z for each example.
Prior = Distribution | Callable[..., Distribution]

#: Draws behind the mean and variance of a distribution that does not know its own.
_DRAWS = 4096


@dataclass(frozen=True, eq=False)
class _Units:
    """A prior in rows: its means and deviations, [1, D] or [B, D], and its density in units of them."""

    loc: Tensor
    scale: Tensor
    density: Density


def check_prior(prior: object) -> None:
    """Raise unless it is a prior at all: a distribution or a callable."""
    if prior is not None and not isinstance(prior, Distribution) and not callable(prior):
        raise InputError(
            f"prior is a {type(prior).__name__}; give a torch distribution of z, such as Normal(0.0, 3.0), or a "
            "callable of x that returns one"
        )


@dataclass(frozen=True, eq=False)
class UnderPrior:
    """An external model with a prior of its own, in that prior's units.

    Args:
        base: The model.
        prior: Its prior; a callable takes the conditions behind x, as the model's own do.

    Raises:
        InputError: The model has a lambda.
    """

    base: ExternalVAE
    prior: Prior

    def __post_init__(self) -> None:
        if self.equalization.acts:  # on sigma in its own units, and these are others
            raise InputError(
                "prior and exponent were both given; lambda is defined for the prior N(0, I), so leave out one of them"
            )

    @property
    def equalization(self) -> Equalization:
        """Q_1(z|x) -> q_lambda(z|x), which are the same."""
        return self.base.equalization

    @property
    def fixed(self) -> bool:
        """Whether the prior is the same for every example."""
        return isinstance(self.prior, Distribution)

    @property
    def decoder(self) -> Callable[[Tensor], Tensor]:
        """Z [N, D] -> theta."""

        def in_units(z: Tensor) -> Tensor:
            units = self._units(None)
            return self.base.decoder(units.loc + units.scale * z)

        return in_units

    @property
    def likelihood(self) -> Callable[[Tensor], LikelihoodDistribution] | None:
        """Theta -> p(x|z); None where the decoder would have to know x."""
        return self.base.likelihood if self.fixed else None

    @property
    def latent_dim(self) -> int:
        """D."""
        return self.base.latent_dim

    def given(self, conditions: object) -> "UnderPrior":
        """Return the model of the examples with these conditions."""
        return replace(self, base=self.base.given(conditions))

    def encode(self, x: Tensor) -> DiagGaussian | FullGaussian:
        """Return q_1(z|x) in the prior's units."""
        q, units = self.base.encode(x), self._units(x)
        mu = (q.mu - units.loc) / units.scale
        if isinstance(q, FullGaussian):
            return FullGaussian(mu, q.factor / units.scale[..., None])
        return DiagGaussian(mu, q.logvar - 2.0 * units.scale.log())

    def p_z(self) -> Density:
        """Return the prior in its own units."""
        if self.fixed:
            return self._units(None).density
        return standard_normal(self.latent_dim, torch.empty((), device=self.base.device))

    def decode(self, z: Float[Tensor, "*batch D"]) -> LikelihoodDistribution:
        """Return p(x|z)."""
        return _Moved(self, z)

    def _units(self, x: Tensor | None) -> _Units:
        if isinstance(self.prior, Distribution):
            return _units(self.prior, self.base.latents, None, self.base.device)
        assert x is not None
        with torch.no_grad():
            law: Any = self.prior(x, *self.base.conditions)
        if not isinstance(law, Distribution):
            raise InputError(f"prior returned a {type(law).__name__}; it must be a torch distribution of z")
        return _units(law, self.base.latents, len(x), self.base.device)

    @property
    def note(self) -> str:
        """What a reader must know of the units."""
        gaussian = not self.fixed or isinstance(self.p_z(), DiagGaussian)
        more = "" if gaussian else "; under-dispersed dimensions are told for Gaussian priors alone"
        if not gaussian and isinstance(self.p_z(), TorchDensity) and not getattr(self.p_z(), "factorised", True):
            more += ", and each dimension's KL is that from a Gaussian with the prior's variance"
        return f"Signal, sigma and gradients are in units of the prior's own standard deviation{more}."


@dataclass(frozen=True, eq=False)
class _Moved:
    """p(x|z) of a code in the prior's units."""

    vae: UnderPrior
    z: Float[Tensor, "*batch D"]

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x|z) in nats, [..., B]."""
        units = self.vae._units(x)
        return self.vae.base.decode(units.loc + units.scale * self.z).log_prob(x)


def _units(law: Distribution, latents: Latents, examples: int | None, device: torch.device) -> _Units:
    shape = tuple(law.batch_shape + law.event_shape)
    own = [(), (latents.dim,), latents.shape, (1, *latents.shape)]
    if shape not in own and shape != (examples, *latents.shape):
        raise InputError(
            f"prior has shape {list(shape)}; it must be that of a latent, {list(latents.shape)}"
            + ("" if examples is None else f", or of a batch of them, [{examples}, ...]")
        )
    found = gaussian_of(law)
    if found is not None:
        return _of_gaussian(found, latents, device)
    if examples is not None or shape not in ((), latents.shape, latents.shape[-1:]):
        raise InputError(
            f"prior is a {type(law).__name__} of shape {list(shape)}"
            f"{' that depends on x' if examples is not None else ''}; that is measured for Gaussians alone"
        )
    return _of_others(law, latents, device)


def _of_gaussian(found: TorchGaussian, latents: Latents, device: torch.device) -> _Units:
    loc, scale = (latents.rows(_placed(part.detach().to(device), latents)) for part in (found.loc, found.std))
    loc, scale = loc.float() if loc.element_size() < 4 else loc, scale.float() if scale.element_size() < 4 else scale
    if found.factor is None:
        return _Units(loc, scale, standard_normal(loc.shape[-1], loc))
    if len(loc) > 1:
        raise InputError("prior has a full covariance and depends on x; that is measured for one of them alone")
    factor = found.factor.detach().to(loc)
    width = factor.shape[-1]
    if latents.shape[-1] != width:
        raise InputError(
            f"prior has a covariance of {width} numbers; the last axis of a latent has {latents.shape[-1]}"
        )
    rows = as_rows(factor.expand(1, *latents.shape[:-1], width, width), latents)[0]
    return _Units(loc, scale, FullGaussian(torch.zeros_like(loc[0]), rows / scale[0][:, None]))


def _placed(part: Tensor, latents: Latents) -> Tensor:
    """Parameters of a number, of each dimension, of a latent or of a batch of them, as [1 or B, *shape]."""
    if part.shape == (latents.dim,) and latents.axis is not None:
        along = [1] * len(latents.shape)
        along[latents.axis] = latents.dim
        part = part.reshape(along)
    lead = part.shape[0] if part.dim() > len(latents.shape) else 1
    return part.expand(lead, *latents.shape)


def _of_others(law: Distribution, latents: Latents, device: torch.device) -> _Units:
    mean, variance = _moments(law)
    usable = bool(mean.isfinite().all()) and bool(variance.isfinite().all()) and bool((variance > 0.0).all())
    mean, variance = (mean, variance) if usable else (torch.zeros(()), torch.ones(()))
    loc, scale = (latents.rows(_placed(part.detach().float().to(device), latents)) for part in (mean, variance.sqrt()))

    def as_latent(rows: Tensor) -> Tensor:
        return latents.latent(rows.reshape(-1, rows.shape[-1])).reshape(*rows.shape[:-1], *latents.shape)

    return _Units(loc, scale, TorchDensity(law, as_latent, loc[0], scale[0]))


def _moments(law: Distribution) -> tuple[Tensor, Tensor]:
    try:
        return law.mean, law.variance
    except NotImplementedError:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            drawn = law.sample((_DRAWS,))
        return drawn.mean(0), drawn.var(0)
