"""Learning curves in matplotlib, for one release more: the page draws them now."""

from collections.abc import Iterable

import numpy as np
from matplotlib.figure import Figure

from lambda_vae.records.read import RunRecord
from lambda_vae.reports.figures import _colour, _dash, _indices, _legend
from lambda_vae.reports.style import look, new_figure

__all__ = ["learning_curves"]

_SERIES = (
    ("loss", "training loss, nats"),
    ("reconstruction", "reconstruction, nats"),
    ("rate_q", "KL(q₁ ‖ prior), nats"),
    ("active_units", "active units"),
)


def learning_curves(runs: Iterable[RunRecord]) -> Figure:
    """Return loss, reconstruction, rate and active units over epochs, one line a run, one colour a method.

    Args:
        runs: Runs with a history.
    """
    known = [run for run in runs if run.history.get("epochs")]
    colours = _indices(known)
    with look():
        figure = new_figure(7.2, 5.0)
        axes = figure.subplots(2, 2, sharex=True).ravel()
        for axis, (key, title) in zip(axes, _SERIES, strict=True):
            for run in known:
                if run.history.get(key):
                    values = np.array(run.history[key], dtype=np.float64)
                    index = colours[run.label]
                    axis.plot(run.history["epochs"], values, color=_colour(index), linestyle=_dash(index), lw=1.3)
            axis.set_ylabel(title)
        for axis in axes[2:]:
            axis.set_xlabel("epoch")
        _legend(figure, colours)
    return figure
