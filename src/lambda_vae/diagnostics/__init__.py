"""Diagnostics: what a model does with its latent dimensions, measured in streams, and why some of them collapsed.

Nothing here sees a trainer, and nothing here changes a model.
"""

import sys
from typing import Any

from lambda_vae.deprecated import renamed
from lambda_vae.diagnostics._attenuation import Attenuation, attenuation
from lambda_vae.diagnostics._diagnose import compute_report, diagnose, quick_reading
from lambda_vae.diagnostics.activity import ACTIVE_THRESHOLD
from lambda_vae.diagnostics.critical import CriticalRatio, critical_ratio
from lambda_vae.diagnostics.decay import DecayExponent, decay_exponent
from lambda_vae.diagnostics.dimension import Cause, DimensionState, Label, Thresholds, Verdict
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
    "Label",
    "Thresholds",
    "Tracks",
    "TrainingMoments",
    "TrainingReading",
    "Verdict",
    "attenuation",
    "compute_report",
    "critical_ratio",
    "decay_exponent",
    "diagnose",
    "quick_reading",
    "training_tracks",
    "verdicts",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any name of the last release
    return renamed(sys.modules[__name__], __name__, name)
