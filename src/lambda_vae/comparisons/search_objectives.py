"""What a search over delta is for: which of the points tried is best, and which to try next.

A point is a delta and a length of the release. The search moves along ln(delta - 1), on which lambda-VAE's noise, bound
and active units change at an even pace.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from lambda_vae.checked import check_known
from lambda_vae.equalization import predicted_capacity
from lambda_vae.errors import InputError

__all__ = ["HighestActive", "LowestBound", "Objective", "Outcome", "Point", "TargetCapacity", "objective_named"]

#: Where a search for the best delta begins.
_FIRST_DELTAS = (1.01, 1.05, 1.25, 2.0)

#: Between these a delta is looked for: below, an autoencoder; above, the plain VAE.
_LEAST, _MOST = math.log(1e-3), math.log(30.0)


@dataclass(frozen=True)
class Point:
    """One setting of lambda-VAE.

    Args:
        delta: > 1.
        release_epochs: 0 is without release.
    """

    delta: float
    release_epochs: int = 0


@dataclass(frozen=True)
class Outcome:
    """What a point came to, mean over the seeds.

    Args:
        nll_bound: Nats per example.
        active_units: A count.
        snr_capacity: Nats.
    """

    nll_bound: float
    active_units: float
    snr_capacity: float


Outcomes = Mapping[Point, Outcome]


@runtime_checkable
class Objective(Protocol):
    """What a search is for."""

    def first(self, releases: Sequence[int]) -> list[Point]:
        """Return the points to begin with."""

    def more(self, outcomes: Outcomes) -> list[Point]:
        """Return the points to try next, the most promising first; none when nothing is left to gain."""

    def best(self, outcomes: Outcomes) -> Point:
        """Return the best point tried."""


def _even(delta: float) -> float:
    return math.log(delta - 1.0)


def _delta(even: float) -> float:
    """Four digits of delta - 1: more would name differences that no seed could show."""
    return 1.0 + float(f"{math.exp(even):.4g}")


def _around(best: Point, outcomes: Outcomes) -> list[Point]:
    """The middles between the best point and its neighbours with the same release."""
    tried = sorted(_even(point.delta) for point in outcomes if point.release_epochs == best.release_epochs)
    here = tried.index(_even(best.delta))
    below = tried[here - 1] if here else max(_LEAST, tried[here] - 1.5)
    above = tried[here + 1] if here + 1 < len(tried) else min(_MOST, tried[here] + 1.5)
    middles = [(neighbour + tried[here]) / 2 for neighbour in (below, above) if abs(neighbour - tried[here]) > 0.1]
    points = [Point(_delta(middle), best.release_epochs) for middle in middles]
    return [point for point in points if point not in outcomes]


class _AroundTheBest:
    """A coarse grid for every release, then the middles next to the best point; smaller deltas first."""

    def first(self, releases: Sequence[int]) -> list[Point]:
        """Return the grid."""
        return [Point(delta, release) for release in releases for delta in _FIRST_DELTAS]

    def more(self, outcomes: Outcomes) -> list[Point]:
        """Return the middles."""
        return _around(self.best(outcomes), outcomes)

    def best(self, outcomes: Outcomes) -> Point:
        """Return the best point tried."""
        raise NotImplementedError


@dataclass(frozen=True)
class LowestBound(_AroundTheBest):
    """The lowest nll_bound."""

    def best(self, outcomes: Outcomes) -> Point:
        """Return the point with the lowest bound."""
        return min(outcomes, key=lambda point: outcomes[point].nll_bound)


@dataclass(frozen=True)
class HighestActive(_AroundTheBest):
    """The most active units among the points whose nll_bound lies within some nats of the best.

    Args:
        tolerance: Nats, >= 0.

    Raises:
        InputError: `tolerance` is negative or not a number.
    """

    tolerance: float

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < math.inf:
            raise InputError(f"tolerance is {self.tolerance}; it must be a finite number of nats, 0 or greater")

    def best(self, outcomes: Outcomes) -> Point:
        """Return the point with the most active units among those near enough; of equals the lower bound."""
        limit = min(outcome.nll_bound for outcome in outcomes.values()) + self.tolerance
        near = [point for point, outcome in outcomes.items() if outcome.nll_bound <= limit]
        return max(near, key=lambda point: (outcomes[point].active_units, -outcomes[point].nll_bound))


@dataclass(frozen=True)
class TargetCapacity:
    """An SNR capacity of so many nats: Eq. 7 and 30 solved for delta, then corrected by what was measured.

    Args:
        capacity: Nats, > 0.
        latent_dim: D.
        tolerance: Nats; nearer is near enough.

    Raises:
        InputError: The capacity is not a positive number.

    Example:
        >>> round(TargetCapacity(69.4, 30).first((0,))[0].delta, 3)
        1.01
    """

    capacity: float
    latent_dim: int
    tolerance: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.capacity < math.inf:
            raise InputError(f"capacity is {self.capacity}; it must be a positive number of nats")

    def first(self, releases: Sequence[int]) -> list[Point]:
        """Return the delta that the closed form asks for; a released model's capacity is not fixed by delta."""
        return [Point(self._solved(self.capacity))]

    def more(self, outcomes: Outcomes) -> list[Point]:
        """Return the point between the two that bracket the target, or one that makes up for what was missed."""
        missed = {point: outcome.snr_capacity - self.capacity for point, outcome in outcomes.items()}
        if min(map(abs, missed.values())) <= self.tolerance:
            return []
        over = [point for point in missed if missed[point] > 0]
        under = [point for point in missed if missed[point] < 0]
        if over and under:  # capacity falls as delta grows
            low, high = max(over, key=lambda p: p.delta), min(under, key=lambda p: p.delta)
            share = missed[low] / (missed[low] - missed[high])
            even = _even(low.delta) + share * (_even(high.delta) - _even(low.delta))
        else:
            nearest = self.best(outcomes)
            asked = predicted_capacity(self.latent_dim, nearest.delta) - missed[nearest]
            even = _even(self._solved(asked))
        return [point for point in [Point(_delta(min(max(even, _LEAST), _MOST)))] if point not in outcomes]

    def best(self, outcomes: Outcomes) -> Point:
        """Return the point nearest to the target."""
        return min(outcomes, key=lambda point: abs(outcomes[point].snr_capacity - self.capacity))

    def _solved(self, capacity: float) -> float:
        """The delta whose closed form is this capacity; the largest looked at where none is."""
        excess = math.expm1(2.0 * max(capacity, 0.0) / self.latent_dim)  # 1 / sigma_c^2 with S = 1
        delta = 1.0 / (1.0 - 1.0 / excess) if excess > 1.0 else math.inf
        return _delta(min(max(_even(delta), _LEAST), _MOST))


def objective_named(
    name: str, *, tolerance: float | None = None, capacity: float | None = None, latent_dim: int
) -> Objective:
    """Return an objective by its name on the command line.

    Args:
        name: bound, active or capacity.
        tolerance: Nats, for active; 1 if None.
        capacity: Nats, for capacity.
        latent_dim: D.

    Raises:
        InputError: Unknown name, or a number that is missing, out of range, or belongs to another objective.
    """
    for option, value, owner in (("tolerance", tolerance, "active"), ("capacity", capacity, "capacity")):
        if value is not None and name != owner:
            raise InputError(f"`{option}` belongs to `objective={owner}`, and the objective is {name}; leave it out")
    check_known("objective", name, ("bound", "active", "capacity"), "it is one of")
    if name == "bound":
        return LowestBound()
    if name == "active":
        return HighestActive(1.0 if tolerance is None else tolerance)
    if capacity is None:
        raise InputError("`objective=capacity` needs `capacity`, the nats that are wanted")
    return TargetCapacity(capacity, latent_dim)
