"""Figure 7, every dimension's sigma and lambda against the curve of Eq. 16."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from lambda_vae.equalization import NEAR_PRIOR_STD, critical_std, optimal_exponent
from lambda_vae.methods import LambdaVAE
from lambda_vae.paper.claims import DIFFERS, IN_PART, NOT_SHOWN, Claim, verdict
from lambda_vae.paper.figure import Numbers, PaperFigure
from lambda_vae.paper.pairs import Pair, claims_of, name_of, place_of, told
from lambda_vae.paper.panels import panels_of, rounded
from lambda_vae.records.read import RunRecord
from lambda_vae.reports.style import COLORS, INK, MARKERS, name_panel, new_figure
from lambda_vae.runs.flat import read_config
from lambda_vae.runs.folder import RunFolder
from lambda_vae.training import checkpoints

__all__ = ["FIGURE", "Alignment"]

#: Distance from the curve up to which a dimension is said to lie on it.
_ON_CURVE = 0.01
#: What rounds to the paper's r = 1.00.
_FULL = 0.995
_HOLLOW: dict[str, Any] = {"linestyle": "none", "markersize": 3.5, "markerfacecolor": "none", "markeredgewidth": 0.7}


def _of_run(run: RunRecord) -> dict[str, Any]:
    """Sigma, running and on the test set, and lambda of each dimension at the end."""
    config = read_config(run.path / "config.yaml")
    settings = {**LambdaVAE().values, **config.method.values}
    running = _running_std(run) if run.row.delta is not None else None
    return {
        "std": rounded(run.column("std_mean"), 8),
        "exponent": rounded(run.column("exponent"), 8),
        "running_std": None if running is None else rounded(running, 8),
        "max_exponent": settings["max_exponent"],
        "refresh_every": settings["refresh_every"],
        "decay": settings["decay"],
        "ramp": min(1.0, config.epochs / settings["ramp_epochs"]) if settings["ramp_epochs"] else 1.0,
    }


def _running_std(run: RunRecord) -> Tensor | None:
    """What the equalizer held after the last epoch; None where that checkpoint is gone."""
    last = checkpoints.path_of(RunFolder(run.path).checkpoints, run.row.epochs or 0, 0)
    return checkpoints.load(last).part("equalizer.").get("running_std") if last.is_file() else None


@dataclass(frozen=True, eq=False)
class Alignment:
    """How well the exponents of a run fit the curve.

    Args:
        distance: |lambda - curve| of each dimension, [D].
        correlation: Pearson's r of lambda and the curve; NaN where it is not defined.
        reason: Why it is not; empty if it is.
    """

    distance: NDArray[np.float64]
    correlation: float
    reason: str = ""

    @classmethod
    def of(cls, run: Numbers, std: Sequence[float]) -> "Alignment":
        """Return the alignment of a run at one reading of each dimension's sigma."""
        exponent, curve = np.array(run["exponent"], dtype=np.float64), _curve(run, std)
        for what, values in (("λ", exponent), ("Eq. 16(σ)", curve)):
            if not np.isfinite(values).all():
                return cls(np.abs(exponent - curve), math.nan, f"{what} is not finite in some dimension")
            if np.ptp(values) < 1e-6:
                return cls(np.abs(exponent - curve), math.nan, f"{what} is {values[0]:.4g} in every dimension")
        return cls(np.abs(exponent - curve), float(np.corrcoef(exponent, curve)[0, 1]))

    @property
    def r(self) -> str:
        """The correlation, or that there is none."""
        return f"r = {self.correlation:.4f}" if not self.reason else "r = NaN"


def _curve(run: Numbers, std: Sequence[float]) -> NDArray[np.float64]:
    """Eq. 16, as far as the ramp has let it come."""
    asked = [optimal_exponent(float(value), run["delta"], run["max_exponent"]) for value in std]
    return 1 + (np.array(asked, dtype=np.float64) - 1) * float(run["ramp"])


def _draw(numbers: Numbers) -> Figure:
    """A row for each data set. Deviation: two readings of sigma, for the paper's meets the curve by construction."""
    panels = numbers["panels"]
    figure = new_figure(7.2, 2.9 * max(len(panels), 1))
    axes = figure.subplots(max(len(panels), 1), 2, squeeze=False, sharey=True, sharex="row")
    for place, (row, panel) in enumerate(zip(axes, panels, strict=False)):
        for side, (axis, name) in enumerate(zip(row, ("running_std", "std"), strict=True)):
            _alignment_panel(axis, panel["runs"], name)
            what = "running mean of σ" if name == "running_std" else "mean σ on the test set"
            name_panel(axis, "abcdefgh"[(2 * place + side) % 8], panel["data"])
            axis.set_xlabel(what)
        row[0].set_ylabel("λ")
    return figure


def _alignment_panel(axis: Axes, runs: Sequence[Numbers], name: str) -> None:
    for run in sorted(runs, key=lambda run: run["delta"] is None):  # the curve first
        if run["delta"] is not None:
            _equalized(axis, run, run[name], of_test=name == "std")
        elif name == "std":
            own = place_of(run)
            axis.plot(run["std"], run["exponent"], MARKERS[own], color=COLORS[own], label=name_of(run), **_HOLLOW)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="upper left")


def _equalized(axis: Axes, run: Numbers, std: Sequence[float] | None, *, of_test: bool) -> None:
    if std is None:
        axis.text(0.5, 0.5, "no checkpoint\nholds it", transform=axis.transAxes, ha="center", color=INK)
    place = np.linspace(0.001, max(1.0, *(run["std"] or [1.0])), 600)
    axis.plot(place, _curve(run, place.tolist()), color=INK, lw=0.9, label="Eq. 16")
    if std is not None:
        label = f"{name_of(run)}, {Alignment.of(run, std).r}"
        axis.plot(std, run["exponent"], MARKERS[2 if of_test else 0], color=COLORS[0], label=label, **_HOLLOW)


def _said(alignment: Alignment) -> str:
    on = int((alignment.distance <= _ON_CURVE).sum())
    because = f" ({alignment.reason})" if alignment.reason else ""
    return (
        f"largest distance {told(float(alignment.distance.max()), '.2g')} in λ, {on} of {len(alignment.distance)} "
        f"within {_ON_CURVE:g}, {alignment.r}{because}"
    )


def _renewed(run: Numbers) -> str:
    every = run["refresh_every"]
    return "every epoch" if every == 1 else f"every {every} epochs"


def _on_curve(pair: Pair) -> Claim:
    paper = (
        f"{pair.title}: every dimension lies exactly on Eq. 16 (r = 1.00), so the EMA-based update has converged to "
        "the analytic optimum."
    )
    ours, running = pair.ours, pair.ours["running_std"]
    fresh = Alignment.of(ours, ours["std"])
    if running is None:
        return Claim(paper, f"No checkpoint holds the running σ. At the test set's: {_said(fresh)}.", NOT_SHOWN)
    held = Alignment.of(ours, running)
    ramp = "" if ours["ramp"] == 1 else f" The ramp has come to {ours['ramp']:.0%}, and so has the curve."
    met = bool(held.distance.max() <= _ON_CURVE)
    return Claim(
        paper,
        f"At the running σ (renewed {_renewed(ours)}, decay {ours['decay']:g}): {_said(held)}; λ "
        "is computed from this σ, so that it could not be otherwise. It is σ on the test set that speaks of "
        f"convergence: {_said(fresh)}.{ramp}",
        verdict(met and fresh.correlation >= _FULL, IN_PART if met else DIFFERS),
    )


def _clamped(pair: Pair) -> Claim:
    ours = pair.ours
    std, exponent = np.array(ours["std"]), np.array(ours["exponent"])
    low, high = int(std.argmin()), int(std.argmax())
    reached = int((exponent >= ours["max_exponent"] - 1e-4).sum())
    starts = critical_std(ours["delta"]) ** (1 / ours["max_exponent"])
    return Claim(
        f"{pair.title}: points near σ ≈ 0 have λ* → λ_max = 20 (clamped).",
        f"The dimension with the smallest σ ({std[low]:.3g}) has λ = {exponent[low]:.2f}, that with the largest "
        f"({std[high]:.3g}) has {exponent[high]:.2f}; {reached} of {len(std)} are at λ_max = {ours['max_exponent']:g}. "
        f"Eq. 16 gives 1 at σ ≤ {critical_std(ours['delta']):.3g} and λ_max from σ = {starts:.3g} on: the caption has "
        "the ends exchanged.",
        verdict(bool(exponent[low] > exponent[high])),
    )


def _unserved(pair: Pair) -> Claim:
    plain, ours = pair.plain, pair.ours
    std = np.array(plain["std"])
    dead = std[std > NEAR_PRIOR_STD]
    asked = [optimal_exponent(float(value), ours["delta"], ours["max_exponent"]) for value in dead]
    flat = bool(np.ptp(np.array(plain["exponent"])) == 0 and plain["exponent"][0] == 1)
    would = f", for which Eq. 16 asks {np.mean(asked):.1f} on average" if len(dead) else ""
    of_paper = "; 173 of 512 have σ > 0.9" if pair.title.startswith("CIFAR-10") else ""
    return Claim(
        f"{pair.title}: the plain VAE's dimensions form a line at λ = 1 over the whole range of σ{of_paper} and would "
        "receive λ* ≫ 1.",
        f"σ from {std.min():.3g} to {std.max():.3g}; {len(dead)} of {len(std)} above {NEAR_PRIOR_STD}{would}.",
        verdict(flat and len(dead) > 0, IN_PART if flat else DIFFERS),
    )


FIGURE = PaperFigure(
    title="Figure 7: λ compared with the optimum",
    caption=(
        "σ and λ of every dimension after the last epoch; line: Eq. 16 at the run's δ and λ_max, as far as the ramp "
        "had let it come. Left: σ is the running mean that λ is computed from, over the training examples of the last "
        "refreshes, so that dimensions lie on the curve by construction. Right: σ is the mean over the test set under "
        "the finished model; the distance from the curve is what the running mean lags behind, with the difference of "
        "training and test examples. The plain VAE's dimensions have λ = 1. r: Pearson's correlation of λ and Eq. "
        "16(σ)."
    ),
    numbers=partial(panels_of, read=_of_run),
    drawing=_draw,
    claims=partial(claims_of, makers=(_on_curve, _clamped, _unserved)),
    data=("cifar10",),
    other_data=True,
    table="table2",
    also=("celeba64",),
)
