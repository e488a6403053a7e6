"""The idea: sample with sigma^lambda, one exponent for each latent dimension, and leave the KL as it was.

`theory` has the effects of an exponent and the best one; `equalizer` observes sigma in training and sets the exponent;
`sampling` has the sampling step itself and its ablations.
"""

from typing import TYPE_CHECKING

from lambda_vae.lazy import on_first_use

if TYPE_CHECKING:
    from lambda_vae.equalization.equalizer import ReleasePath, VarianceEqualizer
    from lambda_vae.equalization.sampling import (
        DetachedExponent,
        Equalization,
        Equalized,
        FixedNoise,
        NoiseClamp,
        Sampling,
    )
    from lambda_vae.equalization.theory import (
        NEAR_PRIOR_STD,
        FixedPoint,
        attractor_std,
        critical_std,
        excess_kl,
        gradient_amplification,
        information_gain,
        joint_fixed_point,
        narrowing,
        net_information_gain,
        optimal_exponent,
        predicted_capacity,
        predicted_sampling_std,
        sampling_logvar,
        sampling_std,
    )

__all__ = [
    "NEAR_PRIOR_STD",
    "DetachedExponent",
    "Equalization",
    "Equalized",
    "FixedNoise",
    "FixedPoint",
    "NoiseClamp",
    "ReleasePath",
    "Sampling",
    "VarianceEqualizer",
    "attractor_std",
    "critical_std",
    "excess_kl",
    "gradient_amplification",
    "information_gain",
    "joint_fixed_point",
    "narrowing",
    "net_information_gain",
    "optimal_exponent",
    "predicted_capacity",
    "predicted_sampling_std",
    "sampling_logvar",
    "sampling_std",
]

__getattr__ = on_first_use(__name__)
