"""One measure of every dimension as bars, in the colours of their verdicts."""

from io import BytesIO
from typing import TYPE_CHECKING

import torch

from lambda_vae.diagnostics.activity import ACTIVE_THRESHOLD
from lambda_vae.diagnostics.dimension import Label
from lambda_vae.diagnostics.grouping import word_of
from lambda_vae.diagnostics.views import VERDICT_COLORS, Report, names_of
from lambda_vae.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["bar_figure"]

_AXES = {
    "kl": "KL from the prior, nats",
    "std_mean": "mean σ; the prior's is 1",
    "std_spread": "σ, standard deviation over examples",
    "sampling_std": "noise that the decoder gets",
    "signal_power": "signal, variance of the mean",
    "gradient_ratio": "gradient ratio ρ; 1 is balance",
    "snr_capacity": "capacity, nats",
    "snr_capacity_predicted": "capacity that δ predicts, nats",
    "decoder_capacity": "RMS gradient of the decoder",
    "capacity_lost": "capacity lost to noise, nats",
    "reconstruction_gradient": "reconstruction gradient g",
    "bound_gain": "nats lost without the dimension",
    "exponent": "λ",
}
#: Where a line across the picture has a meaning.
_LINES = {"std_mean": 1.0, "signal_power": ACTIVE_THRESHOLD, "gradient_ratio": 1.0}
_MOST_TICKS = 48


def bar_figure(report: Report, name: str) -> "Figure":
    """Return a figure with one bar a dimension, the largest first.

    Args:
        report: Whose dimensions.
        name: A per-dimension measure, such as "kl", "std_mean" or "signal_power".

    Raises:
        InputError: The report has no such measure.
    """
    from matplotlib.patches import Patch

    known = names_of(report)
    if name not in known:
        raise InputError(f"the report has no measure {name!r}; it has {', '.join(known)}")
    values = torch.tensor(report.to_record()["dimensions"][name], dtype=torch.float64)
    order = torch.argsort(values.nan_to_num(-torch.inf), descending=True, stable=True).tolist()
    labels = report.verdicts
    figure = _shown(figsize=(min(12.0, max(5.0, 0.2 * len(order) + 2.0)), 3.4))
    axis = figure.add_subplot()
    axis.bar(range(len(order)), values[order].tolist(), color=[VERDICT_COLORS[labels[i]] for i in order], width=0.85)
    if name in _LINES:
        axis.axhline(_LINES[name], color="#555555", linewidth=1.0, linestyle=(0, (4, 3)))
    axis.set_xlabel("dimension, the largest first")
    axis.set_ylabel(_AXES.get(name, name))
    axis.set_xticks(range(len(order)) if len(order) <= _MOST_TICKS else [])
    if len(order) <= _MOST_TICKS:
        axis.set_xticklabels([str(i) for i in order], fontsize=8, rotation=90 if len(order) > 24 else 0)
    axis.spines[["top", "right"]].set_visible(False)
    shown = [label for label in Label if label in labels]
    patches = [Patch(color=VERDICT_COLORS[label], label=f"{word_of(label)} ({labels.count(label)})") for label in shown]
    axis.legend(handles=patches, frameon=False, fontsize=8, loc="upper right", bbox_to_anchor=(1.0, 1.12), ncols=4)
    return figure


def _shown(figsize: tuple[float, float]) -> "Figure":
    """A figure that a notebook shows by itself, also before pyplot is loaded."""
    from matplotlib.figure import Figure

    class ShownFigure(Figure):
        def _repr_png_(self) -> bytes:
            held = BytesIO()
            self.savefig(held, format="png", dpi=100)
            return held.getvalue()

    return ShownFigure(figsize=figsize, layout="constrained")
