"""Estimation: likelihoods and information of latent variable models, each estimate with its error."""

from lambda_vae.estimation._kl_split import BothSides, KLSplit, kl_split, mismatch_identity
from lambda_vae.estimation._mutual_information import (
    InformationBounds,
    MutualInformation,
    information_bounds,
    marginal_information,
    mutual_information,
)
from lambda_vae.estimation.contrastive import contrastive_information, info_nce
from lambda_vae.estimation.entropy import EntropyBounds, InformationGain, aggregate_entropy, measured_information_gain
from lambda_vae.estimation.estimate import Estimate
from lambda_vae.estimation.gaussian_bound import gaussian_entropy, gaussian_information
from lambda_vae.estimation.moments import Moments, Reading, moments_of

__all__ = [
    "BothSides",
    "EntropyBounds",
    "Estimate",
    "InformationBounds",
    "InformationGain",
    "KLSplit",
    "Moments",
    "MutualInformation",
    "Reading",
    "aggregate_entropy",
    "contrastive_information",
    "gaussian_entropy",
    "gaussian_information",
    "info_nce",
    "information_bounds",
    "kl_split",
    "marginal_information",
    "measured_information_gain",
    "mismatch_identity",
    "moments_of",
    "mutual_information",
]
