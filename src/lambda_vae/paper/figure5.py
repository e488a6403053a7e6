"""Figure 5, reconstruction against generation: images at z = mu and from the prior, and how likely a VAE finds them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lambda_vae.errors import InputError
from lambda_vae.measures.generation import prior_elbos
from lambda_vae.paper.claims import DIFFERS, IN_PART, NOT_SHOWN, Claim, verdict
from lambda_vae.paper.figure import Comparisons, Numbers, PaperFigure
from lambda_vae.paper.panels import all_runs, identity_of, runs_of_figure, strip
from lambda_vae.records.read import RunRecord
from lambda_vae.reports.style import COLORS, name_panel, new_figure
from lambda_vae.runs.folder import RunFolder

__all__ = ["FIGURE"]

#: Images of each kind that are shown.
_SHOWN = 10
#: Draws from the prior that the reference model scores, as many as the paper's.
_SCORED = 256


def _numbers(comparisons: Comparisons) -> dict[str, Any]:
    """Originals, reconstructions at mu, and decoded draws from the prior, the same draws for all runs."""
    chosen = runs_of_figure(all_runs(comparisons))
    for run in chosen:
        if not run.images:
            raise InputError(f"{run.path} has no images.npz; this figure needs runs on images")
        if not np.array_equal(run.images["originals"], chosen[0].images["originals"]):
            raise InputError(f"{run.path} shows other originals than {chosen[0].path}; give runs on the same data")
    scores = _prior_scores(chosen)
    return {
        "originals": chosen[0].images["originals"][:_SHOWN].tolist(),
        "runs": [
            {
                **identity_of(run),
                "reconstructions": run.images["reconstructions"][:_SHOWN].tolist(),
                "samples": run.images["prior_samples"][:_SHOWN].tolist(),
                **{name: getattr(run.row, name) for name in ("reconstruction", "nll_bound", "surrogate_nll")},
                **score,
            }
            for run, score in zip(chosen, scores, strict=True)
        ],
    }


def _prior_scores(runs: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """The ELBO of each model's draws under the figure's plain VAE and under itself; none where weights are gone."""
    reference = next((run for run in runs if run.row.method == "vae"), None)
    if reference is None or not all(RunFolder(run.path).model.exists() for run in runs):
        return [{"prior_elbo": None} for _ in runs]
    who = f"{identity_of(reference)['label']} of this figure, {_SCORED} draws of each model"
    return [
        {
            "prior_elbo": float(under.value),
            "prior_elbo_stderr": float(under.stderr),
            "prior_elbo_own": float(itself.value),
            "prior_elbo_judge": who,
        }
        for under, itself in prior_elbos([run.path for run in runs], reference.path, _SCORED)
    ]


def _draw(numbers: Numbers) -> Figure:
    """Strips of images, one a model; the panel of scores only where there are some."""
    runs, scored = numbers["runs"], _scored(numbers)
    strips = [(run["label"], run["reconstructions"]) for run in runs]
    drawn = [(run["label"], _greedy(run["samples"])) for run in runs]
    rows = 2 * len(runs) + 1
    figure = new_figure(7.2 if scored else 6.0, 0.5 * rows + 0.6)
    outer = figure.add_gridspec(1, 2, width_ratios=(2.6, 1)) if scored else figure.add_gridspec(1, 1)
    axes = figure.add_subplot(outer[0], frameon=False)
    axes.set_axis_off()
    inner = outer[0].subgridspec(rows, 1, hspace=0.05)
    everything = [("test images", numbers["originals"]), *strips, *drawn]
    for place, (label, images) in enumerate(everything):
        axis = figure.add_subplot(inner[place])
        strip(axis, label, images)
        if place in (0, len(runs) + 1):
            name_panel(axis, "ab"[place > 0], "reconstructions at z = μ" if place == 0 else "draws from the prior")
    if scored:
        _score_panel(figure.add_subplot(outer[1]), numbers)
    return figure


def _greedy(samples: list[Any]) -> NDArray[np.uint8]:
    images = np.array(samples, np.uint8)
    return np.where(images > 127, images, 0).astype(np.uint8)


def _scored(numbers: Numbers) -> list[Numbers]:
    return [run for run in numbers["runs"] if run.get("prior_elbo") is not None]


def _score_panel(axis: Axes, numbers: Numbers) -> None:
    runs = _scored(numbers)[::-1]
    for place, run in enumerate(runs):
        error = run.get("prior_elbo_stderr")
        axis.errorbar(run["prior_elbo"], place, xerr=error, color=COLORS[0], marker="o", markersize=4, capsize=2)
    axis.set_yticks(range(len(runs)), [run["label"] for run in runs])
    axis.set_xlabel("ELBO of draws, nats")
    name_panel(axis, "c", "generation")


def _claims(numbers: Numbers) -> list[Claim]:
    runs = {run["label"]: run for run in numbers["runs"]}
    return [_reconstruction(runs), _generation(numbers)]


def _reconstruction(runs: Mapping[str, Numbers]) -> Claim:
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
        f"Reconstruction cost E[−ln p(x|z)], nats: {seen}. Bound on −ln p(x) of the distribution sampled from: "
        f"{bounds}.",
        verdict(holds and sharpest is by_delta[1.01], IN_PART if holds else DIFFERS),
    )


def _generation(numbers: Numbers) -> Claim:
    paper = (
        "δ = 1.19 has better draws from the prior than every other model (−1776 on 256 draws); δ = 1.01 degrades them "
        "(−2167)."
    )
    scored = _scored(numbers)
    if len(scored) < 2:
        return Claim(paper, "No model scored the draws: the pictures speak for themselves.", NOT_SHOWN)
    ranked = sorted(scored, key=lambda run: -run["prior_elbo"])
    seen = ", ".join(f"{run['label']} {run['prior_elbo']:.0f}" for run in ranked)
    best, worst = ranked[0], ranked[-1]
    holds = (best["method"], best["delta"]) == ("lambda-vae", 1.19)
    partly = (worst["method"], worst["delta"]) == ("lambda-vae", 1.01)
    who = f" Reference model: {best['prior_elbo_judge']}." if best.get("prior_elbo_judge") else ""
    own = ", ".join(f"{r['label']} {r['prior_elbo_own']:.0f}" for r in scored if r.get("prior_elbo_own") is not None)
    doubt = "the paper names no reference model, and any model only says what it finds probable"
    itself = f" Under itself, each: {own}; {doubt}." if own else ""
    return Claim(paper, f"Best first: {seen}.{who}{itself}", verdict(holds and partly, IN_PART if partly else DIFFERS))


FIGURE = PaperFigure(
    title="Figure 5: reconstruction and generation",
    caption=(
        "Reconstruction and generation. (a) Test images and their reconstructions at z = μ; (b) decoded draws z ~ "
        "N(0, I), the same draws for every model, as probabilities where these exceed 0.5 (greedy). (c) ELBO of draws "
        "from the prior under a reference model, where it was measured."
    ),
    numbers=_numbers,
    drawing=_draw,
    claims=_claims,
    data=("omniglot",),
    other_data=True,
    images=True,
)
