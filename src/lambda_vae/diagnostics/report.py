"""Everything that was measured of one model, as one frozen object and as plain data."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch import Tensor

from lambda_vae.diagnostics.ablation import Ablation
from lambda_vae.diagnostics.bars import bar_figure
from lambda_vae.diagnostics.dimension import Cause, Label, Verdict
from lambda_vae.diagnostics.directions import CodeDirections
from lambda_vae.diagnostics.gradients import GradientRatio
from lambda_vae.diagnostics.headline import headline
from lambda_vae.diagnostics.readings import DimensionReadings
from lambda_vae.diagnostics.representation import Accuracy
from lambda_vae.diagnostics.residual import ResidualSignal
from lambda_vae.diagnostics.unseen import overfit_note
from lambda_vae.diagnostics.views import as_frame, as_html, as_rich, as_text
from lambda_vae.equalization import NEAR_PRIOR_STD
from lambda_vae.errors import InputError
from lambda_vae.estimation.likelihood import ImportanceEstimate
from lambda_vae.estimation.moments import Reading

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Group as RichGroup

__all__ = ["CollapseReport", "DimensionReadings"]


T = TypeVar("T")


class _Attribute(Generic[T]):
    """A measure as an attribute of the report, read by its name."""

    def __init__(self, read: Callable[["CollapseReport", str], T]) -> None:
        self.read = read

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, report: "CollapseReport", owner: type | None = None) -> T:
        return self.read(report, self.name)


def _column(report: "CollapseReport", name: str) -> Tensor:
    """A reading's values, [D]; NaN where it was not asked for."""
    found = getattr(report.dimensions, name)
    found = found.ratio if isinstance(found, GradientRatio) else found
    missing = torch.full_like(report.dimensions.signal_power.value, torch.nan) if found is None else found
    value: Tensor = missing.value if isinstance(missing, Reading) else missing
    return value


def _term(report: "CollapseReport", name: str) -> float:
    """A likelihood's mean; nats per example."""
    return float(report.likelihood[name].value)


def _recorded(report: "CollapseReport", name: str) -> Any:  # noqa: ANN401 - as metrics.json has it
    return report.to_record()[name]


@dataclass(frozen=True, eq=False)
class CollapseReport:
    """What `diagnose` found; `print` shows it.

    Beside its fields it has, by the names in `docs/measures.md`, every likelihood (`nll_bound`) as a number and every
    per-dimension measure (`kl`, `gradient_ratio`) as a tensor [D].

    Args:
        examples: Test examples.
        likelihood: nll_bound, surrogate_nll, excess_kl, reconstruction, rate, rate_q; nats per example.
        importance: Importance-weighted estimates by proposal, the better one first.
        dimensions: Readings by dimension.
        findings: The verdict, cause and explanation of each dimension.
        residual: What the used dimensions leave in the data; None where it could not be measured.
        directions: The code's own, whatever its axes are; None where it is too wide or has too few
            examples.
        linear_probe: Accuracy on labels; None without labels.
        knn: Likewise.
        ablation: What the dimensions in use are worth on these data; None where that was not measured.
        nll_bound_train: The bound on data that the model was trained on, nats per example; None where none were given.
        judged_from_history: Whether the training's history was there to judge causes from.
        notes: What a reader must know of how this was measured.
        write_page: What `to_html` calls, (record, path) -> path; who makes a report for a user hands it in.
    """

    examples: int
    likelihood: Mapping[str, Reading]
    importance: Mapping[str, ImportanceEstimate]
    dimensions: DimensionReadings
    findings: Sequence[Verdict]
    residual: ResidualSignal | None = None
    directions: CodeDirections | None = None
    linear_probe: Accuracy | None = None
    knn: Accuracy | None = None
    judged_from_history: bool = False
    ablation: Ablation | None = None
    nll_bound_train: Reading | None = None
    notes: Sequence[str] = ()
    write_page: Callable[[Mapping[str, Any], Path], Path] | None = None

    nll_bound = _Attribute(_term)
    surrogate_nll = _Attribute(_term)
    excess_kl = _Attribute(_term)
    reconstruction = _Attribute(_term)
    rate = _Attribute(_term)
    rate_q = _Attribute(_term)

    kl = _Attribute(_column)
    std_mean = _Attribute(_column)
    std_spread = _Attribute(_column)
    exponent = _Attribute(_column)
    sampling_std = _Attribute(_column)
    signal_power = _Attribute(_column)
    active = _Attribute(_column)
    reconstruction_gradient = _Attribute(_column)
    gradient_ratio = _Attribute(_column)
    snr_capacity = _Attribute(_column)
    snr_capacity_predicted = _Attribute(_column)
    decoder_capacity = _Attribute(_column)
    capacity_lost = _Attribute(_column)
    bound_gain = _Attribute(_column)

    nll_bound_stderr = _Attribute[float](_recorded)
    nll_iw = _Attribute[float](_recorded)
    nll_iw_stderr = _Attribute[float](_recorded)
    nll_iw_samples = _Attribute[int](_recorded)
    nll_iw_proposal = _Attribute[str](_recorded)
    nll_iw_ess = _Attribute[float](_recorded)
    nll_iw_by_proposal = _Attribute[Mapping[str, Any]](_recorded)
    snr_capacity_joint = _Attribute[float | None](_recorded)
    mean_std = _Attribute[float](_recorded)
    mean_exponent = _Attribute[float](_recorded)
    linear_probe_accuracy = _Attribute[float | None](_recorded)
    knn_accuracy = _Attribute[float | None](_recorded)
    residual_directions = _Attribute[int | None](_recorded)

    @property
    def gradient_ratio_stderr(self) -> Tensor:
        """Standard error of rho, [D]."""
        return self.dimensions.gradient_ratio.ratio.stderr

    @property
    def bound_gain_stderr(self) -> Tensor:
        """Standard error of `bound_gain`, [D]; NaN where that was not measured."""
        gain = self.dimensions.bound_gain
        return torch.full_like(self.bound_gain, torch.nan) if gain is None else gain.stderr

    def beside_training(self, train: Reading) -> "CollapseReport":
        """Return the report with the bound on training data, and a note where that differs by more than chance.

        Args:
            train: nll_bound on the training data.
        """
        note = overfit_note(train, self.likelihood["nll_bound"])
        return replace(self, nll_bound_train=train, notes=(*self.notes, *([note] if note else [])))

    @property
    def verdicts(self) -> list[Label]:
        """What each dimension is: "active", "collapsed", "over-sharp" (under-dispersed) or "not measured"."""
        return [finding.label for finding in self.findings]

    @property
    def causes(self) -> list[Cause | None]:
        """Why each collapsed dimension collapsed; None for the others."""
        return [finding.cause for finding in self.findings]

    @property
    def active_units(self) -> int | float:
        """Dimensions with S above the threshold, under-dispersed ones included; NaN where any S is NaN."""
        if bool(self.dimensions.signal_power.value.isnan().any()):
            return float("nan")
        return int(self.dimensions.active.sum())

    @property
    def near_prior(self) -> int | float:
        """Dimensions whose sigma averages above 0.9, the paper's count of collapsed ones; NaN where any is."""
        std = self.dimensions.std_mean.value
        return float("nan") if bool(std.isnan().any()) else int((std > NEAR_PRIOR_STD).sum())

    @property
    def active_directions(self) -> int | float | None:
        """Directions of the code that carry something, whatever its axes are; None where that cannot be told."""
        return None if self.directions is None else self.directions.active

    @property
    def verdict(self) -> str:
        """The outcome in one sentence, and what that hides: a rotation, dimensions that are worth nothing."""
        d = self.dimensions
        to_noise = d.signal_power.value / d.sampling_std.value.square()
        first, *hidden = headline(
            self.findings, d.std_mean.value, to_noise, self.active_directions, d.kl.value.tolist()
        )
        return " ".join(filter(None, [first, *hidden, "" if self.ablation is None else str(self.ablation)]))

    @property
    def best_importance(self) -> ImportanceEstimate | None:
        """The estimate with the smaller NLL; None where no importance samples were asked for."""
        return next(iter(self.importance.values()), None)

    def to_record(self) -> dict[str, Any]:
        """Return the measured fields of metrics.json; NaN stays NaN and becomes null when written."""
        d = self.dimensions
        predicted = d.snr_capacity_predicted
        return {
            **{name: float(reading.value) for name, reading in self.likelihood.items()},
            "nll_bound_train": None if self.nll_bound_train is None else float(self.nll_bound_train.value),
            "nll_bound_stderr": float(self.likelihood["nll_bound"].stderr),
            **self._importance_record(),
            "active_units": self.active_units,
            "near_prior": self.near_prior,
            "active_directions": self.active_directions,
            "snr_capacity": float(d.snr_capacity.value.sum()),
            "snr_capacity_joint": None if self.directions is None else self.directions.capacity,
            "snr_capacity_predicted": None if predicted is None else float(predicted.value.sum()),
            "decoder_capacity": float(d.decoder_capacity.value.sum()),
            "mean_std": float(d.std_mean.value.mean()),
            "mean_exponent": float(d.exponent.mean()),
            "linear_probe_accuracy": None if self.linear_probe is None else self.linear_probe.value,
            "knn_accuracy": None if self.knn is None else self.knn.value,
            "residual_directions": None if self.residual is None else self.residual.directions,
            "verdict": self.verdict,
            "verdict_counts": self.verdict_counts,
            "cause_counts": self.cause_counts,
            "explanations": [finding.explanation for finding in self.findings],
            "dimensions": {
                **d.to_record(),
                "verdict": [str(label) for label in self.verdicts],
                "cause": [None if cause is None else str(cause) for cause in self.causes],
            },
        }

    def _importance_record(self) -> dict[str, Any]:
        best = self.best_importance
        each = {
            name: {"value": float(e.nll.value), "stderr": float(e.nll.stderr), "ess": float(e.ess.value)}
            for name, e in self.importance.items()
        }
        first = {"value": math.nan, "stderr": math.nan, "ess": math.nan} if best is None else each[best.proposal]
        return {
            "nll_iw": first["value"],
            "nll_iw_stderr": first["stderr"],
            "nll_iw_samples": 0 if best is None else best.samples,
            "nll_iw_proposal": None if best is None else best.proposal,
            "nll_iw_ess": first["ess"],
            "nll_iw_by_proposal": each,
        }

    @property
    def verdict_counts(self) -> dict[str, int]:
        """Dimensions by verdict; those not measured are in none."""
        counted = (Label.ACTIVE, Label.COLLAPSED, Label.UNDER_DISPERSED)
        return {str(label): self.verdicts.count(label) for label in counted}

    @property
    def cause_counts(self) -> dict[str, int]:
        """Collapsed dimensions by cause."""
        return {str(cause): self.causes.count(cause) for cause in Cause}

    @property
    def caveats(self) -> list[str]:
        """What the causes and numbers could not be judged from, in sentences; empty if nothing was missing."""
        if Label.COLLAPSED not in self.verdicts:
            return list(self.notes)
        missing = []
        if self.residual is None:
            missing.append(
                "What the data hold beyond the dimensions in use was not searched, so that the cause of a dimension on "
                "which nothing is at work is undetermined."
            )
        if not self.judged_from_history:
            missing.append("Causes are judged from the finished model, for no history of its training was given.")
        return [*missing, *self.notes]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data: the record, with its caveats."""
        return {"examples": self.examples, **self.to_record(), "caveats": self.caveats}

    def to_html(self, path: Path | str, title: str = "VAE") -> Path:
        """Write the report as one self-contained HTML page and return its path.

        Args:
            path: Where it goes.
            title: The model's name.

        Raises:
            InputError: Nothing that writes a page was handed in.
        """
        if self.write_page is None:
            raise InputError("this report was measured without a page; use lambda_vae.diagnose, whose reports have one")
        row = {"run": title, "method": "measured", "label": title, "status": "done", "latent_dim": len(self.findings)}
        return self.write_page({**row, **self.to_dict()}, Path(path))

    @property
    def _jointly(self) -> str:
        if self.directions is None:
            return ""
        capacity = self.directions.capacity
        return f"; of all dimensions jointly {capacity:.1f} nats, in {self.active_directions} directions"

    @property
    def numbers(self) -> list[str]:
        """The bound, the importance-weighted estimate and the capacity, a line each."""
        total = round(float(self.dimensions.snr_capacity.value.sum()), 1) + 0.0  # no -0.0
        capacity = f"SNR capacity {total:.1f} nats{self._jointly}"
        return [*self._bounds, capacity]

    @property
    def _bounds(self) -> list[str]:
        best, bound = self.best_importance, self.likelihood["nll_bound"]
        if math.isnan(self.reconstruction) and not math.isnan(self.rate):  # measured without a likelihood
            return [f"rate {self.rate:.2f} nats on {self.examples} examples, of which excess KL {self.excess_kl:.2f}"]
        return [
            f"nll_bound {float(bound.value):.2f} ± {float(bound.stderr):.2f} nats on {self.examples} examples "
            f"(reconstruction {self.reconstruction:.2f}, rate {self.rate:.2f}, "
            f"of which excess KL {self.excess_kl:.2f})",
            "nll_iw    not measured: no importance samples were asked for"
            if best is None
            else f"nll_iw    {float(best.nll.value):.2f} ± {float(best.nll.stderr):.2f} nats, {best.samples} samples "
            f"from {best.proposal}, effective {float(best.ess.value):.1f}",
        ]

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    def __rich__(self) -> "RichGroup":
        return as_rich(self)

    def to_frame(self) -> Any:  # noqa: ANN401 - of a package that may be missing
        """Return a pandas DataFrame, one row a dimension: every measure, the verdict, the cause and the explanation.

        Raises:
            InputError: pandas is not installed.
        """
        return as_frame(self)

    def plot(self, name: str = "kl") -> "Figure":
        """Return a matplotlib figure of one measure of every dimension, in the colours of their verdicts.

        Args:
            name: A column of `to_frame`, such as "kl", "std_mean" or "signal_power".

        Raises:
            InputError: There is no such measure; the message has the names.
        """
        return bar_figure(self, name)
