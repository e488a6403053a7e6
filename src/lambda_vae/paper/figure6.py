"""Figure 6, SNR information capacity and decoder capacity over training."""

from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lambda_vae.equalization import predicted_capacity
from lambda_vae.paper.claims import Claim
from lambda_vae.paper.figure import Numbers, PaperFigure
from lambda_vae.paper.pairs import Pair, claims_of, gain_verdict, name_of, place_of, told
from lambda_vae.paper.panels import note, panels_of, rounded, series
from lambda_vae.records.read import RunRecord
from lambda_vae.reports.style import COLORS, INK, MARKERS, name_line, name_panel, new_figure
from lambda_vae.runs.flat import read_config

__all__ = ["FIGURE"]

_MEASURED = (
    "latent_dim", "active_units", "snr_capacity", "snr_capacity_joint", "snr_capacity_predicted", "decoder_capacity",
)  # fmt: skip


def _of_run(run: RunRecord) -> dict[str, Any]:
    """Both capacities, summed over dimensions, at each epoch and on the test set."""
    return {
        "epoch": run.history["epochs"],
        "snr_capacity_by_epoch": rounded(_capacity(run.track("signal_power"), run.track("sampling_std"))),
        "decoder_capacity_by_epoch": rounded(run.track("decoder_capacity").sum(1)),
        "ramp_epochs": read_config(run.path / "config.yaml").method.values.get("ramp_epochs", 0),
        **{name: getattr(run.row, name) for name in _MEASURED},
    }


def _capacity(signal: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eq. 7 at the noise that the decoder gets, [E]; of training examples, where the table's is of test examples."""
    total: NDArray[np.float64] = 0.5 * np.log1p(signal / noise**2).sum(1)
    return total


def _draw(numbers: Numbers) -> Figure:
    """A row for each data set, a column for each capacity."""
    panels = numbers["panels"]
    figure = new_figure(7.2, 2.5 * max(len(panels), 1))
    axes = figure.subplots(max(len(panels), 1), 2, squeeze=False)
    for place, (row, panel) in enumerate(zip(axes, panels, strict=False)):
        _capacity_panel(row[0], panel["runs"], "snr_capacity")
        _capacity_panel(row[1], panel["runs"], "decoder_capacity")
        _implied(row[0], panel["runs"])
        row[0].set_ylabel("SNR capacity, nats")
        row[1].set_ylabel("decoder capacity, nats")
        for side, axis in enumerate(row):
            name_panel(axis, "abcdefgh"[(2 * place + side) % 8], panel["data"])
    return figure


def _capacity_panel(axis: Axes, runs: list[Numbers], name: str) -> None:
    tracks = [np.array(run[f"{name}_by_epoch"], dtype=np.float64) for run in runs]
    highest = max([float(np.nanmax(track)) for track in tracks if np.isfinite(track).any()], default=1.0)
    axis.set(xlabel="epoch", ylim=(0, 1.15 * highest))
    for place, (run, track) in enumerate(zip(runs, tracks, strict=True)):
        own, color = place_of(run), COLORS[place_of(run)]
        series(axis, run["epoch"], track, own)
        if run[name] is not None:
            axis.plot(run["epoch"][-1], run[name], MARKERS[own], color=color, markersize=4.5, clip_on=False)
        near = len(tracks) == 2 and abs(tracks[0][-1] - tracks[1][-1]) < 0.1 * highest
        lift = (5.0 if track[-1] >= tracks[1 - place][-1] else -5.0) if near else 0.0
        name_line(axis, (run["epoch"][-1], float(track[-1])), name_of(run), color, (7, lift))
        _ramp(axis, run)


def _ramp(axis: Axes, run: Numbers) -> None:
    if 1 < run["ramp_epochs"] < run["epochs"]:
        axis.axvline(run["ramp_epochs"], color=INK, lw=0.8)
        top = (run["ramp_epochs"], axis.get_ylim()[1])
        note(axis, "ramp ends", top, (3, -6), color=INK, va="center")


def _implied(axis: Axes, runs: list[Numbers]) -> None:
    """What delta alone implies, where it is anywhere near what was measured."""
    for run in runs:
        implied = predicted_capacity(run["latent_dim"], run["delta"]) if run["delta"] is not None else float("inf")
        if implied < 1.4 * axis.get_ylim()[1]:
            axis.hlines(implied, run["epoch"][0], run["epoch"][-1], color=INK, lw=0.8)
            axis.set_ylim(0, max(axis.get_ylim()[1], 1.15 * implied))
            note(axis, "δ alone", (run["epoch"][0], implied), (2, 5), color=INK, va="center")


def _gain(pair: Pair, name: str) -> str:
    plain, ours, gain = told(pair.plain[name], ".1f"), told(pair.ours[name], ".1f"), told(pair.gain(name), ".2f")
    return f"{plain} nats for the VAE and {ours} for λ-VAE, {gain} times as much"


def _throughput(pair: Pair) -> Claim:
    (before, after), ours = pair.paper("snr_capacity"), pair.ours
    implied = predicted_capacity(ours["latent_dim"], ours["delta"])
    return Claim(
        f"{pair.title}: under optimal λ, C_SNR grows from {before} to {after} nats ({after / before:.1f}×).",
        f"{_gain(pair, 'snr_capacity')}. What δ = {ours['delta']:g} implies whatever the decoder does: {implied:.0f} "
        f"nats for {ours['latent_dim']} dimensions of S = 1, {told(ours['snr_capacity_predicted'], '.1f')} at the S "
        f"and σ measured.{_jointly(pair)}",
        gain_verdict((before, after), pair.gain("snr_capacity")),
    )


def _jointly(pair: Pair) -> str:
    """The gain where what two dimensions both say is counted once; records before it was measured have none."""
    name = "snr_capacity_joint"
    if pair.plain.get(name) is None or pair.ours.get(name) is None:
        return ""
    return f" With what two dimensions both say counted once: {_gain(pair, name)}."


def _use(pair: Pair) -> Claim:
    before, after = pair.paper("decoder_capacity")
    both = np.array([pair.ours[f"{name}_by_epoch"] for name in ("snr_capacity", "decoder_capacity")], dtype=np.float64)
    moving = np.isfinite(both).all() and both.shape[1] > 2 and (both.std(1) > 0).all()
    together = float(np.corrcoef(both[0], both[1])[0, 1]) if moving else float("nan")
    return Claim(
        f"{pair.title}: decoder capacity rises in parallel, {before} → {after} nats ({after / before:.1f}×): the "
        "increased throughput is used by the decoder.",
        f"{_gain(pair, 'decoder_capacity')}. Over the epochs of λ-VAE the two capacities have a correlation of "
        f"{told(together, '.2f')}.",
        gain_verdict((before, after), pair.gain("decoder_capacity"), also=together > 0.5),
    )


FIGURE = PaperFigure(
    title="Figure 6: capacity over training",
    caption=(
        "Capacity over training, summed over dimensions. Left: SNR information capacity (Eq. 7) at the noise that the "
        "decoder gets, σ^λ. Right: decoder capacity (Eq. 18), the RMS of ∂ ln p(x|z)/∂z. Lines: training examples, "
        "epoch by epoch; marks at the end: the test set, of which the claims speak. Thin lines: where the ramp of λ "
        "ends, and the capacity that δ alone implies where S = 1. A gain of at least half the paper's agrees."
    ),
    numbers=partial(panels_of, read=_of_run),
    drawing=_draw,
    claims=partial(claims_of, makers=(_throughput, _use)),
    data=("cifar10",),
    other_data=True,
    table="table2",
    also=("celeba64",),
)
