"""What a dimension's scale and noise cost the valid bound."""

import math

from lambda_vae.diagnostics.dimension import DimensionState

__all__ = ["scale_cost", "sharpness_cost", "widening_gain"]


def scale_cost(state: DimensionState) -> float:
    """Return the nats of the valid bound that the best shift and scale of this one dimension would save, >= 0; exact.

    It is also a lower bound on KL(q_i(z) || p): how far the aggregate strays from N(0, 1).
    """
    variance = state.signal_power + state.sampling_std**2
    if not variance > 0.0:
        return math.inf if variance == 0.0 else math.nan
    return 0.5 * (state.mean**2 + variance - 1.0 - math.log(variance))


def widening_gain(state: DimensionState, errors: float = 0.0) -> float:
    """Return the nats of the valid bound that wider noise of this dimension would save, >= 0; NaN without a gradient.

    Source:
        Ours; derived at the head of `verdict.py`.
    """
    noise_var = state.sampling_std**2
    variance = state.signal_power + noise_var
    if not variance > 0.0:
        return math.inf if variance == 0.0 else math.nan
    if math.isnan(state.gradient):
        return math.nan
    curvature = max(0.0, -state.gradient + errors * state.gradient_stderr)
    relative = noise_var / variance + state.sampling_std * curvature
    if relative == 0.0:
        return math.inf
    return 0.5 * (relative - 1.0 - math.log(relative)) if relative < 1.0 else 0.0


def sharpness_cost(state: DimensionState, errors: float = 0.0) -> float:
    """Return the nats of the valid bound that the best scale and noise of this one dimension would save, >= 0.

    Example:
        >>> sharpness_cost(DimensionState(0.75, 0.5, ratio=1.0, decoder_capacity=1.7, gradient=-1.5))
        0.0
    """
    return scale_cost(state) + widening_gain(state, errors)
