"""Exact ground: models of which every number is known in closed form, for estimators to be held against."""

from exact_models.gaussian_channel import GaussianChannel
from exact_models.linear import LinearGaussian, optimal_linear_gaussian, surviving
from exact_models.mixtures import (
    mixture_entropy,
    mixture_information,
    mixture_mismatch,
    mixture_total_correlation,
    noisy,
)

__all__ = [
    "GaussianChannel",
    "LinearGaussian",
    "mixture_entropy",
    "mixture_information",
    "mixture_mismatch",
    "mixture_total_correlation",
    "noisy",
    "optimal_linear_gaussian",
    "surviving",
]
