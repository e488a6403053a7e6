"""The sampling step of every method that is compared here: how sigma becomes the noise that z gets.

`Equalized` is the paper's. The others take it apart: they ask what of lambda-VAE is the cap on the noise that Eq. 30
implies, and what is the gradient that goes through sigma^lambda.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.equalization import theory

__all__ = ["DetachedExponent", "Equalization", "Equalized", "FixedNoise", "NoiseClamp", "Sampling"]


@runtime_checkable
class Sampling(Protocol):
    """A map from the posterior's sigma to the std that z is sampled with."""

    def logvar(self, logvar: Float[Tensor, "*batch D"], exponent: Float[Tensor, " D"] | None) -> Tensor:
        """Return ln of the sampling variance; the very same tensor where nothing changes.

        Args:
            logvar: ln sigma^2.
            exponent: lambda; None where there is none.
        """

    def amplification(self, std: Float[Tensor, "*batch D"], exponent: Float[Tensor, " D"] | None) -> Tensor:
        """Return d(sampling std)/d(sigma), the factor on the reconstruction gradient (Eq. 11).

        Args:
            std: sigma.
            exponent: lambda; None where there is none.
        """


@dataclass(frozen=True)
class Equalized:
    """sigma^lambda: the paper's sampling step, and without an exponent the plain VAE's.

    Source:
        The paper, Eq. 9 and 11.
    """

    def logvar(self, logvar: Float[Tensor, "*batch D"], exponent: Float[Tensor, " D"] | None) -> Tensor:
        """Return lambda ln sigma^2."""
        return logvar if exponent is None else theory.sampling_logvar(logvar, exponent)

    def amplification(self, std: Float[Tensor, "*batch D"], exponent: Float[Tensor, " D"] | None) -> Tensor:
        """Return lambda sigma^(lambda - 1)."""
        return torch.ones_like(std) if exponent is None else theory.gradient_amplification(std, exponent)


@dataclass(frozen=True)
class DetachedExponent:
    """sigma^lambda with sigma taken as given: lambda's noise without lambda's gradient.

    Source:
        Ours, an ablation of the paper's Eq. 11.
    """

    def logvar(self, logvar: Float[Tensor, "*batch D"], exponent: Float[Tensor, " D"] | None) -> Tensor:
        """Return lambda ln sigma^2, through which no gradient reaches sigma."""
        return logvar if exponent is None else theory.sampling_logvar(logvar.detach(), exponent)

    def amplification(self, std: Float[Tensor, "*batch D"], exponent: Float[Tensor, " D"] | None) -> Tensor:
        """Return 0 under an exponent, else 1."""
        return torch.ones_like(std) if exponent is None else torch.zeros_like(std)


@dataclass(frozen=True)
class _OfDelta:
    delta: float

    def __post_init__(self) -> None:
        theory.require(delta=self.delta)


@dataclass(frozen=True)
class NoiseClamp(_OfDelta):
    """min(sigma, sigma_c): what Eq. 30 says lambda* amounts to, at once and without a running sigma.

    Args:
        delta: Of lambda-VAE, > 1; inf never clamps.

    Raises:
        InputError: delta is not greater than 1.

    Source:
        Ours, an ablation of the paper's Eq. 16 and 30.
    """

    def logvar(self, logvar: Float[Tensor, "*batch D"], exponent: Float[Tensor, " D"] | None) -> Tensor:
        """Return min(ln sigma^2, ln sigma_c^2)."""
        cap = 2.0 * math.log(theory.critical_std(self.delta))
        return logvar if cap == 0.0 else logvar.clamp(max=cap)

    def amplification(self, std: Float[Tensor, "*batch D"], exponent: Float[Tensor, " D"] | None) -> Tensor:
        """Return 1 below sigma_c, 0 above: there sigma does not reach the decoder."""
        cap = theory.critical_std(self.delta)
        return torch.ones_like(std) if cap == 1.0 else (std <= cap).to(std.dtype)


@dataclass(frozen=True)
class FixedNoise(_OfDelta):
    """sigma_c whatever sigma is: a regularised autoencoder with noise of one size.

    Args:
        delta: Of lambda-VAE, > 1; inf gives the prior's own noise, 1.

    Raises:
        InputError: delta is not greater than 1.

    Source:
        Ours, an ablation; Ghosh et al. 2020, arXiv:1903.12436, for what it amounts to.
    """

    def logvar(self, logvar: Float[Tensor, "*batch D"], exponent: Float[Tensor, " D"] | None) -> Tensor:
        """Return ln sigma_c^2 everywhere."""
        return torch.full_like(logvar, 2.0 * math.log(theory.critical_std(self.delta)))

    def amplification(self, std: Float[Tensor, "*batch D"], exponent: Float[Tensor, " D"] | None) -> Tensor:
        """Return 0: sigma does not reach the decoder."""
        return torch.zeros_like(std)


@runtime_checkable
class _Gaussian(Protocol):
    @property
    def logvar(self) -> Tensor: ...

    def with_logvar(self, logvar: Tensor) -> Any: ...  # noqa: ANN401 - of the same class


_Q = TypeVar("_Q", bound=_Gaussian)


@dataclass(frozen=True, eq=False)
class Equalization:
    """How a model makes the noise of z from its sigma, as one value that the model holds: lambda and the sampling step.

    Args:
        exponent: lambda, [D]; None is the plain VAE.
        delta: The trade-off that lambda was chosen by; None where none is known.
        sampling: The sampling step.

    Source:
        The paper, Eq. 9.
    """

    exponent: Float[Tensor, " D"] | None = None
    delta: float | None = None
    sampling: Sampling = field(default_factory=Equalized)

    @property
    def acts(self) -> bool:
        """Whether any lambda is not 1."""
        return self.exponent is not None and bool((self.exponent != 1.0).any())

    def sampled(self, q: _Q) -> _Q:
        """Return q_lambda(z|x), which z is drawn from; q itself where the sampling step changes nothing.

        Args:
            q: q_1(z|x).
        """
        exponent = None if self.exponent is None else self.exponent.to(q.logvar.device)
        logvar = self.sampling.logvar(q.logvar, exponent)
        if logvar is q.logvar:
            return q
        narrowed: _Q = q.with_logvar(logvar)
        return narrowed

    def amplification(self, std: Float[Tensor, "*batch D"]) -> Tensor:
        """Return d(sampling std)/d(sigma), the factor on the reconstruction gradient (Eq. 11).

        Args:
            std: sigma.
        """
        return self.sampling.amplification(std, None if self.exponent is None else self.exponent.to(std))
