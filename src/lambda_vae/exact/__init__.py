"""Exact ground: models of which every number is known in closed form, for estimators to be held against."""

from lambda_vae.exact.gaussian_channel import GaussianChannel
from lambda_vae.exact.mixtures import (
    mixture_entropy,
    mixture_information,
    mixture_mismatch,
    mixture_total_correlation,
    noisy,
)

__all__ = [
    "GaussianChannel",
    "mixture_entropy",
    "mixture_information",
    "mixture_mismatch",
    "mixture_total_correlation",
    "noisy",
]
