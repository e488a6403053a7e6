"""The idea: sample with sigma^lambda, one exponent for each latent dimension, and leave the KL as it was.

`theory` says what an exponent does and which is best; `equalizer` observes sigma in training and holds the exponent.
`sampling` holds the sampling step itself, and beside it the ablations that take it apart.
"""

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
