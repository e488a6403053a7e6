"""What a verdict looks at, and what it says: plain records."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lambda_vae.diagnostics.activity import ACTIVE_THRESHOLD
from lambda_vae.diagnostics.information import REFERENCE_STD

__all__ = ["Cause", "DimensionState", "Judgement", "Label", "Thresholds", "Verdict"]


class Label(StrEnum):
    """What a dimension is."""

    ACTIVE = "active"
    COLLAPSED = "collapsed"
    OVER_SHARP = "over-sharp"
    NOT_MEASURED = "not measured"


class Cause(StrEnum):
    """Why a dimension collapsed."""

    IMBALANCE = "gradient imbalance"
    GAP = "information gap"
    NO_SIGNAL = "no signal"


@dataclass(frozen=True)
class Thresholds:
    """The numbers of the rules at the head of `verdict.py`.

    Args:
        active: S above it is active; z squared.
        encoder: S above it means that the encoder speaks; z squared.
        decoder: h above it means that the decoder listens; nats per unit of z squared.
        critical_ratio: rho_crit, for a KL weight of 1.
        supply: Below this share of h, S/s^2 means that noise hides the signal.
        reference_std: sigma_0 of `capacity_lost`; z.
        sharpness: Nats of the valid bound that make a dimension over-sharp.
        errors: Standard errors given in a dimension's favour.
        residual_margin: How far above chance a direction of the residual must be.
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
    epoch: int | None = None

    def at_work(self, thresholds: Thresholds) -> bool:
        """Return whether the encoder speaks and the decoder listens.

        Args:
            thresholds: For both.
        """
        return self.signal_power > thresholds.encoder and self.demand > thresholds.decoder

    @property
    def supply(self) -> float:
        """S/s^2: the signal-to-noise ratio of the dimension as a channel (Eq. 7)."""
        return self.signal_power / self.sampling_std**2

    @property
    def demand(self) -> float:
        """H = max(0, -g)/s: the signal-to-noise ratio that the decoder's reaction would be worth."""
        return max(0.0, -self.gradient) / self.sampling_std

    @property
    def measured(self) -> bool:
        """Whether all numbers that a verdict needs are there. The ratio may be undefined: at sigma = 1 it is 0/0."""
        return all(
            map(math.isfinite, (self.signal_power, self.sampling_std, self.decoder_capacity, self.mean, self.gradient))
        )


@dataclass(frozen=True)
class Verdict:
    """What a dimension is, and why.

    Args:
        label: Active, collapsed, over-sharp or not measured.
        cause: Of a collapse, else None.
        explanation: One sentence with its numbers.
    """

    label: Label
    cause: Cause | None
    explanation: str


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
        """Return the last moment at which both sides were at work, else now.

        Args:
            thresholds: For both.
        """
        moments = [*self.past, self.now]
        return next((state for state in reversed(moments) if state.at_work(thresholds)), self.now)
