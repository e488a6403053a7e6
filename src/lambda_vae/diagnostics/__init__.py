"""Diagnostics: what a model does with its latent dimensions, measured in streams, and why some of them collapsed.

Nothing here sees a trainer, and nothing here changes a model.
"""

from lambda_vae.diagnostics._attenuation import Attenuation, attenuation
from lambda_vae.diagnostics._diagnose import diagnose, examine, quick_reading
from lambda_vae.diagnostics.activity import ACTIVE_THRESHOLD
from lambda_vae.diagnostics.critical import CriticalRatio, critical_ratio
from lambda_vae.diagnostics.decay import DecayExponent, decay_exponent
from lambda_vae.diagnostics.dimension import Cause, DimensionState, Label, Thresholds, Verdict
from lambda_vae.diagnostics.report import CollapseReport, DimensionReadings
from lambda_vae.diagnostics.tracks import Tracks, training_tracks
from lambda_vae.diagnostics.training_moments import TrainingMoments, TrainingReading
from lambda_vae.diagnostics.verdict import verdicts
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
    "ACTIVE_THRESHOLD",
    "Attenuation",
    "BothSides",
    "Cause",
    "CollapseReport",
    "CriticalRatio",
    "DecayExponent",
    "DimensionReadings",
    "DimensionState",
    "EntropyBounds",
    "Estimate",
    "InformationBounds",
    "InformationGain",
    "KLSplit",
    "Label",
    "Moments",
    "MutualInformation",
    "Reading",
    "Thresholds",
    "Tracks",
    "TrainingMoments",
    "TrainingReading",
    "Verdict",
    "aggregate_entropy",
    "attenuation",
    "contrastive_information",
    "critical_ratio",
    "decay_exponent",
    "diagnose",
    "examine",
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
    "quick_reading",
    "training_tracks",
    "verdicts",
]
