r"""Distributions whose log p falls by the distance, one feature at a time: Laplace, and absolute errors.

Their slope is :math:`\pm a_j`, whatever x is. Far out on both sides by the same step M the distances cancel, and the
constant is left: :math:`\log p(x + M) + \log p(x - M) = 2 C - 2 M \sum_j a_j`.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.any_vae.recovered.probe import Probe, Recovered, close, slope_of

__all__ = ["absolute"]

#: Means over fewer features are not told from a weight.
_FEW = 8

#: Of three times the data's range: to a four-thousandth of it.
_HALVINGS = 14

#: The step is ten times the range of the data, and ten times that, and so on.
_STEPS = (1e1, 1e2, 1e3)


def absolute(probe: Probe) -> Recovered | None:
    """Return the scale of the Laplace that a value not linear in x is of, and its centre on the data, or None."""
    steep = torch.maximum(probe.slope.abs(), probe.elsewhere.abs())  # 0 where x is at the centre
    off = max(float((one.abs() - steep)[one != 0.0].abs().max()) for one in (probe.slope, probe.elsewhere))
    # A column without slope may hold an index, which must not be moved.
    if not bool((steep > 0.0).all()) or off > 1e-3 * float(steep.min()):
        return None
    constant, size = _constant(probe, steep)
    if constant is None:
        return None
    spread = (0.5 * steep).log().sum(1)
    for count in probe.divisors:
        expected = spread + steep.shape[1] * math.log(count)
        if close(count * constant, expected, count * size + expected.abs()):
            return Recovered(None, None, count, "Laplace", mean=_centre(probe))
    if close(constant, torch.zeros_like(constant), size):
        for count in probe.divisors:
            if count >= _FEW and float((steep * count - 1.0).abs().max()) < 1e-3:
                return Recovered(None, None, count, "Laplace")
    lost = spread - constant
    if not close(lost, lost.mean().expand_as(lost), size + lost.abs()):
        return None
    nats, scale = float(lost.mean()), float(1.0 / steep.mean())
    note = (
        f"log_likelihood leaves out the constant of its Laplace: nll_bound is {abs(nats):.4g} nats too "
        f"{'low' if nats < 0 else 'high'}, and comparable only with bounds that leave it out too; "
        f"laplace(decode, scale={scale:.3g}) has it."
    )
    return Recovered(None, None, 1, "Laplace", (note,), _centre(probe))


def _centre(probe: Probe) -> Float[Tensor, "B F"]:
    """Where the slope changes its sign, found by halving for all features at once."""
    low, high = (float(end) for end in (probe.x.min(), probe.x.max()))
    below = torch.full_like(probe.x, low - (high - low))
    above = torch.full_like(probe.x, high + (high - low))
    for _ in range(_HALVINGS):
        middle = 0.5 * (below + above)
        rises = slope_of(probe.function, middle, probe.z)[1].view_as(middle) > 0.0
        below, above = torch.where(rises, middle, below), torch.where(rises, above, middle)
    return (0.5 * (below + above)).flatten(1)


def _constant(probe: Probe, steep: Float[Tensor, "B F"]) -> tuple[Float[Tensor, " B"] | None, Float[Tensor, " B"]]:
    """C, None where a feature turns nowhere; and the numbers that it is a difference of, by their size."""
    spread = float(probe.x.max() - probe.x.min()) or 1.0
    for step in _STEPS:
        far = spread * step
        (up, falls), (down, rises) = (slope_of(probe.function, probe.x + move, probe.z) for move in (far, -far))
        size = far * steep.sum(1)
        if bool((falls < 0.0).all()) and bool((rises > 0.0).all()):
            return 0.5 * (up + down) + size, size
    return None, size
