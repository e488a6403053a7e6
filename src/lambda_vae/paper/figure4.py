"""Figure 4, variance equalization on real data: histograms of sigma over training, and the exponents."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from lambda_vae.equalization import NEAR_PRIOR_STD, attractor_std, optimal_exponent
from lambda_vae.paper.claims import DIFFERS, IN_PART, NOT_SHOWN, Claim, verdict
from lambda_vae.paper.figure import Comparisons, Numbers, PaperFigure
from lambda_vae.paper.panels import all_runs, identity_of, rounded, runs_of_figure, series
from lambda_vae.records.read import RunRecord
from lambda_vae.reports.figures import std_panel
from lambda_vae.reports.style import COLORS, INK, name_panel, new_figure

__all__ = ["FIGURE"]


def _numbers(comparisons: Comparisons) -> dict[str, Any]:
    """Mean sigma and lambda of each dimension at each epoch."""
    return {"runs": [_of_run(run) for run in runs_of_figure(all_runs(comparisons))]}


def _of_run(run: RunRecord) -> dict[str, Any]:
    tracks = {"std": "std_mean", "exponent": "exponent"}
    lines = {key: [rounded(row) for row in run.track(name)] for key, name in tracks.items()}
    return {**identity_of(run), "epoch": run.history["epochs"], **lines}


def _draw(numbers: Numbers) -> Figure:
    """A panel a run, then lambda. Deviation from the paper: histograms of all epochs, not of the last one alone."""
    runs = numbers["runs"]
    columns = 3 if len(runs) in (2, 5) else 2
    rows = -(-(len(runs) + 1) // columns)
    figure = new_figure(7.2, 2.4 * rows)
    outer = figure.add_gridspec(rows, columns)
    for place, run in enumerate(runs):
        inner = outer[place // columns, place % columns].subgridspec(1, 2, width_ratios=(4, 1))
        panel = figure.add_subplot(inner[0])
        side = figure.add_subplot(inner[1], sharey=panel)
        std_panel(panel, side, run["epoch"], np.array(run["std"], dtype=np.float64))
        name_panel(panel, "abcdefg"[place % 7], run["label"])
    last = figure.add_subplot(outer[-1, len(runs) % columns :])
    _exponent_panel(last, numbers)
    name_panel(last, "abcdefg"[len(runs) % 7], "exponents")
    layout = figure.get_layout_engine()
    assert isinstance(layout, ConstrainedLayoutEngine)
    layout.set(w_pad=0.02, wspace=0)
    return figure


def _exponent_panel(axis: Axes, numbers: Numbers) -> None:
    equalized = [run for run in numbers["runs"] if run["delta"] is not None and run["exponent"]]
    for index, run in enumerate(equalized):
        exponent = np.array(run["exponent"])
        mean, spread, epochs = exponent.mean(1), exponent.std(1), run["epoch"]
        series(axis, epochs, mean, index)
        axis.fill_between(epochs, np.maximum(mean - spread, 1), mean + spread, color=COLORS[index], alpha=0.2, lw=0)
        high = float(mean[-1] + spread[-1]) + 0.6
        axis.text(epochs[-1], high, f"δ = {run['delta']:g}", color=COLORS[index], fontsize=8, ha="right")
    if not equalized:
        axis.text(0.5, 0.5, "λ = 1 throughout", transform=axis.transAxes, ha="center", color=INK)
    axis.set(xlabel="epoch", ylabel="λ", ylim=(0, 21))


def _claims(numbers: Numbers) -> list[Claim]:
    runs = {(run["method"], run.get("beta") if run["method"] == "beta-vae" else None): run for run in numbers["runs"]}
    plain, beta = runs.get(("vae", None)), runs.get(("beta-vae", 0.5))
    equalized = next((run for run in numbers["runs"] if run["method"] == "lambda-vae"), None)
    return [
        _bimodal(plain) if plain else _missing("of the standard VAE"),
        _tail(beta, plain) if beta else _missing("of β-VAE with β = 0.5"),
        *((_narrow(equalized, plain), _settled(equalized)) if equalized else (_missing("of λ-VAE"),)),
    ]


def _missing(panel: str) -> Claim:
    return Claim(f"The panel {panel}.", "No such run is among those drawn.", NOT_SHOWN)


def _near_prior(run: Numbers) -> int:
    return int((np.array(run["std"][-1]) > NEAR_PRIOR_STD).sum())


def _bimodal(run: Numbers) -> Claim:
    std = np.array(run["std"][-1])
    near, away = std[std > NEAR_PRIOR_STD], std[std <= NEAR_PRIOR_STD]
    between = int(((std > 0.75) & (std <= NEAR_PRIOR_STD)).sum())
    active = f", the other {len(away)} at {away.mean():.2f} on average" if len(away) else ""
    return Claim(
        "Standard VAE: bimodal; collapsed dimensions gather near σ = 1 (16 of 30), active ones at lower values.",
        f"{len(near)} of {len(std)} dimensions end above σ = {NEAR_PRIOR_STD}{active}; {between} lie between 0.75 and "
        f"{NEAR_PRIOR_STD}.",
        verdict(len(near) >= 3 and len(away) >= 3 and between <= 0.2 * len(std)),
    )


def _tail(run: Numbers, plain: Numbers | None) -> Claim:
    std, compared = np.array(run["std"][-1]), ""
    if plain:
        compared = f", against {np.mean(plain['std'][-1]):.2f} and {_near_prior(plain)} for the standard VAE"
    return Claim(
        "β-VAE (β = 0.5): the mode shifts downward but a tail near σ = 1 persists.",
        f"Mean σ {std.mean():.2f} with {_near_prior(run)} of {len(std)} dimensions above {NEAR_PRIOR_STD}{compared}.",
        verdict(_near_prior(run) > 0 and (plain is None or bool(std.mean() < np.mean(plain["std"][-1]))), IN_PART),
    )


def _narrow(run: Numbers, plain: Numbers | None) -> Claim:
    std = np.array(run["std"][-1])
    compared = f" ({np.std(plain['std'][-1]):.3f} for the standard VAE)" if plain else ""
    return Claim(
        "λ-VAE: all dimensions converge to a tight band around σ*, σ ≈ 0.4; the std across dimensions collapses to "
        "near zero.",
        f"δ = {run['delta']:g}: mean σ {std.mean():.3f}, from {std.min():.2f} to {std.max():.2f}, std across "
        f"dimensions {std.std():.3f}{compared}; {_near_prior(run)} of {len(std)} dimensions stay above "
        f"{NEAR_PRIOR_STD}.",
        verdict(bool(std.std() < 0.05 and abs(std.mean() - 0.4) < 0.05), IN_PART if std.std() < 0.1 else DIFFERS),
    )


def _settled(run: Numbers) -> Claim:
    exponent = np.array(run["exponent"][-1])
    tenth = max(len(run["exponent"]) // 10, 1)
    before = float(np.mean(run["exponent"][-1 - tenth])) if len(run["exponent"]) > tenth else float("nan")
    settled = bool(abs(exponent.mean() - 5.3) < 0.5 and abs(exponent.mean() / before - 1) < 0.05)
    std, wanted = float(np.mean(run["std"][-1])), attractor_std(max(float(exponent.mean()), 1.0))
    return Claim(
        "The mean λ* stabilises at about 5.3, confirming joint σ*–λ* convergence.",
        f"λ ends at {exponent.mean():.2f} ± {exponent.std():.2f} over dimensions, from {before:.2f} a tenth of the "
        f"training earlier. Eq. 13 would put σ* at {wanted:.2f} for this λ; the mean σ is {std:.2f}. λ = 5.3 "
        f"and σ = 0.4 cannot hold together: at δ = {run['delta']:g}, Eq. 16 gives λ(0.4) = "
        f"{optimal_exponent(0.4, float(run['delta'])):.2f}.",
        verdict(settled and abs(std - wanted) < 0.05, IN_PART if settled else DIFFERS),
    )


FIGURE = PaperFigure(
    title="Figure 4: variance equalization in training",
    caption=(
        "Variance equalization. Each panel shows how many dimensions have which mean σ at each epoch (dark is many), "
        "the mean over dimensions (line) with one standard deviation on both sides (dashed), and at its right edge "
        "the histogram after the last epoch. The last panel shows λ, mean ± one standard deviation over dimensions."
    ),
    numbers=_numbers,
    drawing=_draw,
    claims=_claims,
    data=("mnist",),
    other_data=True,
)
