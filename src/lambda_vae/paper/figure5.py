"""Figure 5, reconstruction against generation: pictures at z = mu and from the prior, and what a judge says of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lambda_vae.paper.claims import DIFFERS, IN_PART, NOT_SHOWN, Claim, verdict
from lambda_vae.paper.strips import strip
from lambda_vae.reports.style import COLORS, look, name_panel, new_figure

__all__ = ["CAPTION", "generation_claims", "generation_figure"]

CAPTION = (
    "Reconstruction and generation. (a) Test images and their reconstructions at z = μ; (b) decoded draws z ~ N(0, I), "
    "the same draws for every model, as probabilities where these exceed 0.5 (greedy). (c) ELBO of draws from "
    "the prior under a judge, where it was measured."
)


def generation_figure(record: Mapping[str, Any]) -> Figure:
    """Return Figure 5: strips of pictures, one a model; the judge's panel only where a judge has spoken.

    Args:
        record: Its numbers.

    Source:
        The paper, Figure 5.
    """
    runs, judged = record["runs"], _judged(record)
    strips = [(run["label"], np.array(run["reconstructions"], np.uint8)) for run in runs]
    drawn = [(run["label"], _greedy(run["samples"])) for run in runs]
    with look():
        rows = 2 * len(runs) + 1
        figure = new_figure(7.2 if judged else 6.0, 0.5 * rows + 0.6)
        outer = figure.add_gridspec(1, 2, width_ratios=(2.6, 1)) if judged else figure.add_gridspec(1, 1)
        axes = figure.add_subplot(outer[0], frameon=False)
        axes.set_axis_off()
        inner = outer[0].subgridspec(rows, 1, hspace=0.05)
        everything = [("test images", np.array(record["originals"], np.uint8)), *strips, *drawn]
        for place, (label, images) in enumerate(everything):
            axis = figure.add_subplot(inner[place])
            strip(axis, label, images)
            if place in (0, len(runs) + 1):
                name_panel(axis, "ab"[place > 0], "reconstructions at z = μ" if place == 0 else "draws from the prior")
        if judged:
            _judge_panel(figure.add_subplot(outer[1]), record)
    return figure


def _greedy(samples: list[Any]) -> NDArray[np.uint8]:
    images = np.array(samples, np.uint8)
    return np.where(images > 127, images, 0).astype(np.uint8)


def _judged(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [run for run in record["runs"] if run.get("prior_elbo") is not None]


def _judge_panel(axis: Axes, record: Mapping[str, Any]) -> None:
    runs = _judged(record)[::-1]
    for place, run in enumerate(runs):
        error = run.get("prior_elbo_stderr")
        axis.errorbar(run["prior_elbo"], place, xerr=error, color=COLORS[0], marker="o", markersize=4, capsize=2)
    axis.set_yticks(range(len(runs)), [run["label"] for run in runs])
    axis.set_xlabel("ELBO of draws, nats")
    name_panel(axis, "c", "generation")


def generation_claims(record: Mapping[str, Any]) -> list[Claim]:
    """Return what the paper says of Figure 5 beside what our runs show.

    Args:
        record: Its numbers.
    """
    runs = {run["label"]: run for run in record["runs"]}
    return [_reconstruction(runs), _generation(record)]


def _reconstruction(runs: Mapping[str, Mapping[str, Any]]) -> Claim:
    paper = "δ = 1.19 retains reconstruction fidelity; δ = 1.01 achieves the sharpest reconstructions."
    known = {label: run for label, run in runs.items() if run["reconstruction"] is not None}
    plain = next((run for run in known.values() if run["method"] == "vae"), None)
    by_delta = {run["delta"]: run for run in known.values() if run["method"] == "lambda-vae"}
    if plain is None or not {1.01, 1.19} <= by_delta.keys():
        return Claim(paper, "A run that it speaks of is missing.", NOT_SHOWN)
    seen = ", ".join(f"{label} {run['reconstruction']:.1f}" for label, run in known.items())
    bounds = ", ".join(
        f"{label} {run['nll_bound']:.1f}" for label, run in known.items() if run["nll_bound"] is not None
    )
    sharpest = min(known.values(), key=lambda run: run["reconstruction"])
    holds = by_delta[1.19]["reconstruction"] <= plain["reconstruction"]
    return Claim(
        paper,
        f"Reconstruction cost E[−ln p(x|z)], nats: {seen}. Bound on −ln p(x) of the law really sampled: {bounds}.",
        verdict(holds and sharpest is by_delta[1.01], IN_PART if holds else DIFFERS),
    )


def _generation(record: Mapping[str, Any]) -> Claim:
    paper = (
        "δ = 1.19 has better draws from the prior than every other model (−1776 on 256 draws); δ = 1.01 degrades them "
        "(−2167)."
    )
    judged = _judged(record)
    if len(judged) < 2:
        return Claim(paper, "No judge was asked: the pictures stand for themselves.", NOT_SHOWN)
    ranked = sorted(judged, key=lambda run: -run["prior_elbo"])
    seen = ", ".join(f"{run['label']} {run['prior_elbo']:.0f}" for run in ranked)
    best, worst = ranked[0], ranked[-1]
    holds = (best["method"], best["delta"]) == ("lambda-vae", 1.19)
    partly = (worst["method"], worst["delta"]) == ("lambda-vae", 1.01)
    judge = f" Judge: {ranked[0]['prior_elbo_judge']}." if ranked[0].get("prior_elbo_judge") else ""
    own = ", ".join(f"{r['label']} {r['prior_elbo_own']:.0f}" for r in judged if r.get("prior_elbo_own") is not None)
    itself = f" Under itself, each: {own}; the paper names no judge, and a judge only says what it finds probable."
    itself = itself if own else ""
    return Claim(
        paper, f"Best first: {seen}.{judge}{itself}", verdict(holds and partly, IN_PART if partly else DIFFERS)
    )
