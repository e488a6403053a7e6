"""What a verdict looks at, and what it says: plain records."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lambda_vae.deprecated import renamed
from lambda_vae.diagnostics.activity import ACTIVE_THRESHOLD
from lambda_vae.diagnostics.information import REFERENCE_STD

__all__ = ["Cause", "DimensionState", "Judgement", "Label", "Thresholds", "Verdict"]


class Label(StrEnum):
    """What a dimension is."""

    ACTIVE = "active"
    COLLAPSED = "collapsed"
    UNDER_DISPERSED = "over-sharp"  # as records have it
    OVER_SHARP = "over-sharp"  # the name of the last release
    NOT_MEASURED = "not measured"


class Cause(StrEnum):
    """Why a dimension collapsed."""

    IMBALANCE = "gradient imbalance"
    GAP = "information gap"
    NOISE = "decoder noise"
    NO_SIGNAL = "no signal"
    UNDETERMINED = "undetermined"


@dataclass(frozen=True)
class Thresholds:
    """The numbers of the rules at the head of `verdict.py`.

    Args:
        active: S above it is active; z squared.
        encoder: S above it means that the encoder is active; z squared.
        decoder: h, the decoder's curvature, above it means that the decoder is active; nats per unit of z squared.
        critical_ratio: rho_crit, for a KL weight of 1.
        supply: Below this share of h, S/s^2 means that noise hides the signal.
        reference_std: sigma_0 of `capacity_lost`; z.
        sharpness: Nats of the valid bound that make a dimension under-dispersed.
        errors: Standard errors given in a dimension's favour.
        residual_margin: How far above chance a direction of the residual must be.
        unseen: Nats that a direction of the data may be worth and go unseen among so few examples before "no signal"
            becomes "undetermined".
        idle_kl: Nats of KL from which a dimension whose mean does not move is said to pay for nothing.
    """

    active: float = ACTIVE_THRESHOLD
    encoder: float = 0.003
    decoder: float = 0.1
    critical_ratio: float = 0.9
    supply: float = 0.5
    reference_std: float = REFERENCE_STD
    sharpness: float = 0.25
    errors: float = 2.0
    residual_margin: float = 1.2
    unseen: float = 0.5
    idle_kl: float = 0.1


@dataclass(frozen=True)
class DimensionState:
    """One dimension at one moment.

    Args:
        signal_power: S.
        sampling_std: Root of E[sigma_eff^2].
        ratio: rho, under lambda with its amplification.
        decoder_capacity: C^dec.
        mean: E[mu].
        gradient: g, reconstruction gradient with respect to the sampling noise.
        gradient_stderr: Its standard error.
        ratio_stderr: Of rho.
        kl_weight: What the training objective multiplied the KL term by.
        kl: KL(q || p) of the dimension, nats.
        differentiated: Whether the likelihood gave gradients; without, a dimension is judged by its mean alone.
        sites: Of the dimension, and
        sites_in_use: those whose own S is above the threshold, where the typical one's is not.
        epoch: Of the history; None is the finished model.
    """

    signal_power: float
    sampling_std: float
    ratio: float
    decoder_capacity: float
    mean: float = 0.0
    gradient: float = 0.0
    gradient_stderr: float = 0.0
    ratio_stderr: float = 0.0
    kl_weight: float = 1.0
    kl: float = 0.0
    differentiated: bool = True
    sites: int = 1
    sites_in_use: int = 0
    epoch: int | None = None

    def at_work(self, thresholds: Thresholds) -> bool:
        """Return whether encoder and decoder are both active."""
        return self.signal_power > thresholds.encoder and self.decoder_curvature > thresholds.decoder

    def __getattr__(self, name: str) -> float:
        value: float = renamed(self, "lambda_vae.diagnostics.DimensionState", name)
        return value

    @property
    def encoder_snr(self) -> float:
        """S/s^2: the signal-to-noise ratio of the dimension as a channel (Eq. 7)."""
        return self.signal_power / self.sampling_std**2

    @property
    def decoder_curvature(self) -> float:
        """H = max(0, -g)/s: the signal-to-noise ratio that the decoder's reaction would be worth."""
        return max(0.0, -self.gradient) / self.sampling_std

    def ignored(self, thresholds: "Thresholds") -> bool:
        """Return whether the decoder reacts to it by far less than the encoder sends."""
        few = min(thresholds.decoder, thresholds.supply * self.encoder_snr)
        return math.isfinite(self.gradient) and self.decoder_curvature <= few

    @property
    def measured(self) -> bool:
        """Whether all numbers that a label needs are there. The ratio may be undefined: at sigma = 1 it is 0/0."""
        needed = (self.signal_power, self.sampling_std, self.mean)
        return all(
            map(math.isfinite, (*needed, self.decoder_capacity, self.gradient) if self.differentiated else needed)
        )


@dataclass(frozen=True)
class Verdict:
    """What a dimension is, and why.

    Args:
        label: Active, collapsed, under-dispersed or not measured.
        cause: Of a collapse, else None.
        explanation: One sentence with its numbers.
        sites_in_use: Of a dimension whose typical site carries nothing, those that do.
    """

    label: Label
    cause: Cause | None
    explanation: str
    sites_in_use: int = 0


@dataclass(frozen=True)
class Judgement:
    """A dimension with its past.

    Args:
        now: The finished model.
        past: The epochs after the first, oldest first.
    """

    now: DimensionState
    past: Sequence[DimensionState] = field(default=())

    def decisive(self, thresholds: Thresholds) -> DimensionState:
        """Return the last moment at which both sides were at work, else now."""
        moments = [*self.past, self.now]
        return next((state for state in reversed(moments) if state.at_work(thresholds)), self.now)

    def free(self, thresholds: Thresholds) -> bool:
        """Whether no KL is charged, neither now nor at the decisive moment."""
        return self.now.kl_weight == 0.0 == self.decisive(thresholds).kl_weight
