"""Diagnostics: what a model does with its latent dimensions, measured in streams, and why some of them collapsed.

Nothing here sees a trainer, and nothing here changes a model.
"""

from lambda_vae.diagnostics.activity import ACTIVE_THRESHOLD
from lambda_vae.diagnostics.attenuation import Attenuation, attenuation
from lambda_vae.diagnostics.critical import CriticalRatio, critical_ratio
from lambda_vae.diagnostics.decay import DecayExponent, decay_exponent
from lambda_vae.diagnostics.diagnose import diagnose, quick_reading
from lambda_vae.diagnostics.dimension import Cause, DimensionState, Label, Thresholds, Verdict
from lambda_vae.diagnostics.estimate import Estimate
from lambda_vae.diagnostics.moments import Moments, Reading, moments_of
from lambda_vae.diagnostics.report import CollapseReport, DimensionReadings
from lambda_vae.diagnostics.tracks import Tracks, training_tracks
from lambda_vae.diagnostics.training_moments import TrainingMoments, TrainingReading
from lambda_vae.diagnostics.verdict import verdicts

__all__ = [
    "ACTIVE_THRESHOLD",
    "Attenuation",
    "Cause",
    "CollapseReport",
    "CriticalRatio",
    "DecayExponent",
    "DimensionReadings",
    "DimensionState",
    "Estimate",
    "Label",
    "Moments",
    "Reading",
    "Thresholds",
    "Tracks",
    "TrainingMoments",
    "TrainingReading",
    "Verdict",
    "attenuation",
    "critical_ratio",
    "decay_exponent",
    "diagnose",
    "moments_of",
    "quick_reading",
    "training_tracks",
    "verdicts",
]
