"""How much each dimension can carry to the decoder, and how much the sampling noise takes away.

Read from the moments of `activity_features`.
"""

import torch
from torch import Tensor

from lambda_vae.equalization.theory import predicted_sampling_std
from lambda_vae.errors import InputError
from lambda_vae.estimation.moments import Moments, Reading

__all__ = ["REFERENCE_STD", "capacity_lost", "predicted_snr_capacity", "snr_capacity"]

#: sigma_0 of `capacity_lost`. Its square is the threshold of an active unit, so that a dimension at the threshold has a
#: signal-to-noise ratio of 1 at this noise; it is also about what lambda-VAE leaves at delta = 1.01 (Eq. 17: 0.0995).
REFERENCE_STD = 0.1


def _signal(m: dict[str, Tensor], moments: Moments) -> Tensor:
    return (m["mu_sq"] - m["mu"].square()) * moments.unbiased


def _capacity(signal: Tensor, noise_var: Tensor | float) -> Tensor:
    return 0.5 * torch.log1p(signal / noise_var)


def _reference(std: float) -> float:
    if not std > 0.0:
        raise InputError(f"the reference noise is {std}; it must be greater than 0")
    return std * std


def snr_capacity(moments: Moments) -> Reading:
    r"""Return the information capacity of each dimension at the noise that the decoder really gets, [D]; unit: nats.

    .. math:: C_i = \tfrac12 \ln\bigl(1 + S_i / E_x[\sigma_{\mathrm{eff},i}(x)^2]\bigr)

    Source:
        The paper, Eq. 7. Deviation: the effective noise sigma^lambda, averaged over x, not sigma (with it the paper's
        own figures come out to the decimal).
    """
    return moments.read(lambda m: _capacity(_signal(m, moments), m["sampling_var"]), "nats")


def predicted_snr_capacity(moments: Moments, delta: float) -> Reading:
    """Return the capacity that `delta` implies for the measured signal power and mean sigma, [D]; unit: nats.

    Source:
        The paper, Eq. 7 and 30: the sampling noise at lambda* is min(sigma, sqrt(1 - 1/delta)).
    """
    return moments.read(
        lambda m: _capacity(_signal(m, moments), predicted_sampling_std(1.0 + m["shrink"], delta).square()), "nats"
    )


def capacity_lost(moments: Moments, reference_std: float = REFERENCE_STD) -> Reading:
    r"""Return the information gap of each dimension: capacity lost to sampling noise, [D]; unit: nats.

    .. math:: \tfrac12 \ln(1 + S_i / \sigma_0^2) - \tfrac12 \ln(1 + S_i / \sigma_{\mathrm{eff},i}^2)

    Negative where the noise is below the reference.

    Source:
        The paper, Eq. 5, read as a difference of Eq. 7 at two noises: I(X; phi) itself is infinite.
    """
    reference = _reference(reference_std)
    return moments.read(
        lambda m: _capacity(_signal(m, moments), reference) - _capacity(_signal(m, moments), m["sampling_var"]), "nats"
    )
