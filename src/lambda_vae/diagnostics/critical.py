"""The gradient ratio below which dimensions are collapsed: rho_crit of Proposition 1, as the data have it."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from lambda_vae.estimation.estimate import Estimate, plain

__all__ = ["CriticalRatio", "critical_ratio"]

_RESAMPLES = 200


@dataclass(frozen=True)
class CriticalRatio:
    """The best threshold on rho, and what it is worth.

    Args:
        threshold: rho_crit: dimensions below it are called collapsed.
        low: The least threshold that does as well.
        high: The greatest.
        accuracy: Share of dimensions called rightly.
        balanced: Mean of the shares among the active and among the collapsed; 0.5 is chance.
        left_out: `accuracy` in each group by a threshold found on the others, which is what a new run may expect.
        auc: Chance that an active dimension has the larger ratio of two; 0.5 where the ratio says nothing.
        majority: The accuracy of calling all dimensions what most of them are.
        active: How many are.
        collapsed: How many are.
    """

    threshold: Estimate
    low: float
    high: float
    accuracy: Estimate
    balanced: Estimate
    left_out: Estimate
    auc: Estimate
    majority: float
    active: int
    collapsed: int

    def to_record(self) -> dict[str, Any]:
        """Return plain data."""
        return plain(self)


@dataclass(frozen=True, eq=False)
class _Sorted:
    """Dimensions by their ratio; a cut at k calls the first k collapsed."""

    ratio: NDArray[np.float64]
    active: NDArray[np.bool_]
    group: NDArray[np.int_]
    ties: NDArray[np.bool_]

    def balanced(self, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """Balanced accuracy of each of the N + 1 cuts; -1 for one between equal ratios."""
        dead, live = (np.concatenate(([0.0], np.cumsum(weight * part))) for part in (~self.active, self.active))
        score = 0.5 * (dead / dead[-1] + 1.0 - live / live[-1])
        return np.asarray(np.where(self.ties, -1.0, score))

    def best(self, weight: NDArray[np.float64]) -> tuple[NDArray[np.int_], float]:
        """All cuts that do best, and how well."""
        score = self.balanced(weight)
        return np.flatnonzero(score >= score.max() - 1e-12), float(score.max())

    def accuracy(self, cut: int, weight: NDArray[np.float64]) -> float:
        right = np.where(np.arange(len(self.ratio)) < cut, ~self.active, self.active)
        return float((weight * right).sum() / weight.sum())

    def between(self, cut: int) -> float:
        """The ratio halfway between the cut's neighbours."""
        if 0 < cut < len(self.ratio):
            return float(0.5 * (self.ratio[cut - 1] + self.ratio[cut]))
        return float(self.ratio[0] if cut == 0 else np.nextafter(self.ratio[-1], math.inf))

    def auc(self, weight: NDArray[np.float64]) -> float:
        """Ties count half, as in Mann and Whitney's statistic."""
        _, rank = np.unique(self.ratio, return_inverse=True)
        dead, live = (np.bincount(rank, weight * part) for part in (~self.active, self.active))
        below = np.cumsum(dead) - 0.5 * dead
        return float((live * below).sum() / (live.sum() * dead.sum()))


def critical_ratio(
    ratio: Float[np.ndarray, " N"],
    active: Bool[np.ndarray, " N"],
    group: Int[np.ndarray, " N"],
    generator: np.random.Generator,
) -> CriticalRatio:
    """Return the rho_crit with the best balanced accuracy, so that the rarer kind counts as much as the commoner.

    Args:
        ratio: rho over the weight of the KL; dimensions where it is not finite are left out.
        active: Whether S > 0.01.
        group: What was drawn together, the run for instance; standard errors come from drawing groups anew.
        generator: Of these draws.

    Returns:
        Errors of a share are at least those of as many independent draws (Agresti and Coull 1998), so that a perfect
        one is not taken for certain; that of the threshold counts the gap in which all thresholds do as well.
        All NaN with a reason where only one kind is there, or where collapsed dimensions do not have the smaller
        ratios: then no threshold separates them. Errors are NaN for a single group.

    Source:
        The paper, Proposition 1 and its footnote (0.006, 99.8% on CIFAR-10). Deviation: balanced accuracy decides.

    Example:
        >>> ratio, active = np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True])
        >>> found = critical_ratio(ratio, active, np.arange(4), np.random.default_rng(0))
        >>> found.threshold.value, found.low, found.high, found.accuracy.value
        (0.5, 0.2, 0.8, 1.0)
    """
    known = np.isfinite(ratio)
    order = np.argsort(ratio[known], kind="stable")
    r, a, g = ratio[known][order], active[known][order], group[known][order]
    counts = int(a.sum()), int((~a).sum())
    if min(counts) == 0:
        return _missing(_one_kind(counts), counts)
    data = _Sorted(r, a, np.unique(g, return_inverse=True)[1], np.concatenate(([False], r[1:] == r[:-1], [False])))
    ones = np.ones(len(r))
    area = data.auc(ones)
    if area <= 0.5:
        return _missing(f"collapsed dimensions have no smaller ratio than active ones (AUC {area:.2f})", counts, area)
    best, balanced = data.best(ones)
    cut = int(best[len(best) // 2])
    ends = float(r[max(best[0] - 1, 0)]), float(r[min(best[-1], len(r) - 1)])
    error = _errors(data, generator)
    return CriticalRatio(
        Estimate(data.between(cut), math.hypot(error["threshold"], (ends[1] - ends[0]) / math.sqrt(12)), ""),
        *ends,
        _share(data.accuracy(cut, ones), error["accuracy"], len(r)),
        _share(balanced, error["balanced"], len(r)),
        _left_out(data),
        _share(area, error["auc"], len(r)),
        max(counts) / len(r),
        *counts,
    )


def _share(value: float, error: float, count: int) -> Estimate:
    shrunk = (value * count + 2) / (count + 4)
    return Estimate(value, max(error, math.sqrt(shrunk * (1 - shrunk) / (count + 4))), "")


def _one_kind(counts: tuple[int, int]) -> str:
    if not any(counts):
        return "no dimension has a ratio that could be measured"
    return f"all {max(counts)} dimensions are {'active' if counts[0] else 'collapsed'}; a threshold wants both kinds"


def _missing(reason: str, counts: tuple[int, int], auc: float = math.nan) -> CriticalRatio:
    gone, nan = Estimate.unknown(reason, ""), math.nan
    majority = max(counts) / sum(counts) if any(counts) else nan
    return CriticalRatio(gone, nan, nan, gone, gone, gone, Estimate(auc, nan, "", reason), majority, *counts)


def _errors(data: _Sorted, generator: np.random.Generator) -> dict[str, float]:
    """Standard deviations over bootstrap draws of whole groups; draws with a single kind are passed over."""
    groups = int(data.group.max()) + 1
    if groups < 2:
        return dict.fromkeys(("threshold", "accuracy", "balanced", "auc"), math.nan)
    draws: dict[str, list[float]] = {"threshold": [], "accuracy": [], "balanced": [], "auc": []}
    for chosen in generator.multinomial(groups, np.full(groups, 1 / groups), size=_RESAMPLES):
        weight = chosen[data.group].astype(np.float64)
        if not (weight @ data.active and weight @ ~data.active):
            continue
        best, balanced = data.best(weight)
        cut = int(best[len(best) // 2])
        found = (data.between(cut), data.accuracy(cut, weight), balanced, data.auc(weight))
        for name, value in zip(draws, found, strict=True):
            draws[name].append(value)
    return {name: float(np.std(values, ddof=1)) if len(values) > 1 else math.nan for name, values in draws.items()}


def _left_out(data: _Sorted) -> Estimate:
    """Accuracy group by group, each by the threshold of all others, averaged."""
    groups = int(data.group.max()) + 1
    shares = []
    for k in range(groups):
        mine = data.group == k
        weight = (~mine).astype(np.float64)
        if not (weight @ data.active and weight @ ~data.active):
            continue
        best, _ = data.best(weight)
        below = data.ratio[mine] < data.between(int(best[len(best) // 2]))
        shares.append(float((below != data.active[mine]).mean()))
    if len(shares) < 2:
        return Estimate.unknown("a threshold for the group left out wants at least two others", "")
    error = float(np.std(shares, ddof=1) / math.sqrt(len(shares)))
    return _share(float(np.mean(shares)), error, len(data.ratio))
