"""Figure 3, gradient imbalance and information gap on mixtures of Gaussians."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray

from lambda_vae.data import FixedView
from lambda_vae.distributions import DiagGaussian
from lambda_vae.errors import InputError
from lambda_vae.estimation._kl_split import mismatch_identity
from lambda_vae.estimation._mutual_information import mutual_information
from lambda_vae.files import read_json, write_json
from lambda_vae.paper.claims import DIFFERS, IN_PART, NOT_SHOWN, Claim, verdict
from lambda_vae.paper.figure import Numbers, PaperFigure
from lambda_vae.paper.panels import panels_of, rounded
from lambda_vae.paper.recipe import recipes_in
from lambda_vae.records.read import RunRecord
from lambda_vae.reports.style import COLORS, DASHES, INK, MARKERS, name_line, name_panel, new_figure
from lambda_vae.runs.flat import read_config
from lambda_vae.runs.folder import RunFolder
from lambda_vae.runs.image_arrays import shown
from lambda_vae.runs.resolve import Run
from lambda_vae.runs.snapshots import Snapshot, snapshots
from lambda_vae.training import checkpoints

__all__ = ["FIGURE"]

#: Points of a scatter: as many as can be told apart in print.
_SHOWN = 400
#: Draws of an example for what is measured of the distribution of its z.
_DRAWS = 4
_TRACKS = ("gradient_ratio", "reconstruction_gradient", "std_mean", "signal_power", "exponent")
#: A dimension whose mean sigma is beyond this, and whose codes hardly vary, tells nothing.
_DEAD_STD, _DEAD_SIGNAL = 0.95, 0.01
#: How likely chance alone is to make Eq. 8 look wrong at one snapshot at least.
_FALSE_ALARM = 0.01

_RINGS: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 2.5, "markerfacecolor": "none"}


def _of_run(run: RunRecord) -> dict[str, Any]:
    tracks = {name: [rounded(row) for row in run.track(name)] for name in _TRACKS}
    return {"epoch": run.history["epochs"], **tracks, **_measured(run.path)}


def _measured(path: Path) -> dict[str, Any]:
    """The run over its snapshots: measured once, and kept in its folder; checkpoints that only they needed go then."""
    place = path / "snapshots.json"
    if place.exists():
        known: dict[str, Any] = read_json(place)
        return known
    run = Run.resolve(read_config(path / "config.yaml"), training=False)
    readings, last, codes = [], None, None
    for last in snapshots(path, run, max(recipe.snapshots for recipe in recipes_in("figure3"))):
        codes = _codes(last, run.measured)
        readings.append({"epoch": last.epoch, **_information(codes)})
    if last is None or codes is None:
        raise InputError(f"{path} was trained without snapshots; remove the folder and train the run again")
    record = {"readings": readings, **_scene(last, codes, run)}
    write_json(place, record)
    checkpoints.prune(RunFolder(path).checkpoints)
    return record


@torch.no_grad()
def _codes(snapshot: Snapshot, view: FixedView) -> DiagGaussian:
    """What z is sampled from, of all test examples."""
    parts = [snapshot.vae.sampled(snapshot.vae.encode(x)).marginals() for x in view]
    return DiagGaussian(torch.cat([part.mu for part in parts]), torch.cat([part.logvar for part in parts]))


def _information(codes: DiagGaussian) -> dict[str, Any]:
    """I(X;Z), and both sides of Eq. 8; the same noise at every snapshot and for every method."""
    found = mutual_information(codes.mu, codes.logvar, torch.Generator().manual_seed(0), draws=_DRAWS)
    identity = mismatch_identity(codes.mu, codes.logvar, torch.Generator().manual_seed(1), draws=_DRAWS)
    told = {name: getattr(found, name) for name in ("stderr", "cap", "saturated", "reason")}
    return {"information": found.value, **told, "identity": asdict(identity)}


@torch.no_grad()
def _scene(snapshot: Snapshot, codes: DiagGaussian, run: Run) -> dict[str, Any]:
    """The latent space and the reconstructions of the test examples, with how well the components are kept apart."""
    view = run.measured
    decoded = torch.cat([shown(snapshot.vae.decode(part)) for part in torch.split(codes.mu, view.batch_size)])
    z = codes.rsample(torch.randn(codes.mu.shape, generator=torch.Generator().manual_seed(1)))
    x = view.head(len(view.index))
    labels = run.dataset.test.labels()
    assert labels is not None, "mixtures are labelled"
    component = labels[view.index].numpy()
    return {
        "epochs": run.config.epochs,
        "noise": rounded(codes.std.mean(0)),
        "exponent": None if snapshot.exponent is None else rounded(snapshot.exponent),
        "rmse": rounded((decoded - x).square().mean(0).sqrt()),
        "data_std": rounded(x.std(0)),
        "agreement": {
            "latent": _agreement(z.numpy(), component),
            "reconstruction": _agreement(decoded.numpy(), component),
        },
        "component": component[:_SHOWN].tolist(),
        "x": [rounded(row) for row in x[:_SHOWN]],
        "z": [rounded(row) for row in z[:_SHOWN]],
        "decoded": [rounded(row) for row in decoded[:_SHOWN]],
    }


def _agreement(points: NDArray[np.floating], component: NDArray[np.int64]) -> float:
    """Adjusted Rand index of a k-means clustering with the components: 1 is the same, 0 is chance."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score

    found = KMeans(len(np.unique(component)), n_init=10, random_state=0).fit_predict(points)
    return float(adjusted_rand_score(component, found))


def _draw(numbers: Numbers) -> Figure:
    """A row for each data set and method."""
    rows = [(panel["data"], run) for panel in numbers["panels"] for run in panel["runs"]]
    figure = new_figure(7.2, 1.75 * max(len(rows), 1) + 0.2)
    axes = figure.subplots(max(len(rows), 1), 4, squeeze=False)
    for place, (line, (data, run)) in enumerate(zip(axes, rows, strict=False)):
        _ratio_panel(line[0], run)
        _gap_panel(line[1], run)
        _latent_panel(line[2], run)
        _data_panel(line[3], run)
        name_panel(line[0], "abcdefgh"[place % 8], f"{_components(data)}, {run['label']}")
        for axis in line[:2]:
            _epochs(axis, run["epoch"][-1], named=place == len(rows) - 1)
    _share(axes)
    return figure


def _components(data: str) -> str:
    return f"k = {data.rsplit('-', 1)[-1]}"


def _share(axes: Any) -> None:  # noqa: ANN401 - an array of axes
    """One range for a column, so that rows can be compared."""
    for column in (1, 2):
        limits = np.array([axis.get_ylim() for axis in axes[:, column]])
        for axis in axes[:, column]:
            axis.set_ylim(limits[:, 0].min(), limits[:, 1].max())
    for axis in axes[:, 0]:
        axis.set_ylim(0.03, 30)


def _epochs(axis: Axes, last: int, *, named: bool) -> None:
    """An axis of epochs, on which the first ones have as much room as the many last ones."""
    axis.set(xscale="log", xlim=(1, max(last, 2)), xlabel="epoch" if named else "")
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def _ratio_panel(axis: Axes, run: Numbers) -> None:
    epochs, ratio = run["epoch"], np.array(run["gradient_ratio"], dtype=np.float64)
    axis.axhline(1, color=INK, lw=0.8)
    above = np.argsort(np.argsort(ratio[-1]))  # names of lines that end at one height stand one above the other
    for dimension in range(ratio.shape[1]):
        axis.plot(epochs, ratio[:, dimension], color=COLORS[dimension], linestyle=DASHES[dimension], lw=1.2)
        name_line(
            axis,
            (epochs[-1], ratio[-1, dimension]),
            f"{dimension + 1}",
            COLORS[dimension],
            (3, 9.0 * float(above[dimension]) - 4),
        )
    axis.set(yscale="log", ylabel="ρ")


def _gap_panel(axis: Axes, run: Numbers) -> None:
    readings = run["readings"]
    epochs = [reading["epoch"] for reading in readings]
    information = np.array([reading["information"] for reading in readings], dtype=np.float64)
    axis.axhline(readings[-1]["cap"], color=INK, lw=0.8)
    axis.text(epochs[-1], readings[-1]["cap"] * 1.01, "ln N", color=INK, fontsize=8, ha="right", va="bottom")
    axis.plot(epochs, information, color=COLORS[0], marker=MARKERS[0], markersize=2.2, lw=1)
    axis.fill_between(epochs, information, readings[-1]["cap"], color=INK, alpha=0.1, lw=0)
    if sides := [(one["epoch"], one["identity"]) for one in readings if "identity" in one]:
        at = [epoch for epoch, _ in sides]
        for side, line in (("left", {"linestyle": DASHES[1]}), ("right", _RINGS)):
            marginal_kl = np.array([identity[side]["value"] for _, identity in sides], dtype=np.float64)
            axis.plot(at, marginal_kl, color=COLORS[1], lw=1, **line)
    axis.set(ylim=(0, readings[-1]["cap"] * 1.15), ylabel="nats")
    axis.set_title("I(X;Z) and KL(q(z)‖p)", loc="left")


def _scatter(axis: Axes, points: Sequence[Sequence[float]], component: Sequence[int]) -> None:
    places, members = np.array(points), np.array(component)
    for k in np.unique(members):
        axis.plot(
            *places[members == k].T, linestyle="none", marker=MARKERS[k % 8], color=COLORS[k % 8], markersize=2,
            markerfacecolor="none", markeredgewidth=0.5, rasterized=True,
        )  # fmt: skip
    axis.grid(False)


def _latent_panel(axis: Axes, run: Numbers) -> None:
    _scatter(axis, [point[:2] for point in run["z"]], run["component"])
    axis.set(xlim=(-3.2, 3.2), ylim=(-3.2, 3.2))
    axis.set_title("draws of z", loc="left")
    axis.set_aspect("equal")


def _data_panel(axis: Axes, run: Numbers) -> None:
    axis.plot(*np.array(run["x"]).T, ".", color="#bbbbbb", markersize=1.5, rasterized=True, zorder=0)
    _scatter(axis, run["decoded"], run["component"])
    axis.set_title("E[x|z=μ]", loc="left")
    axis.set(xlim=(-4, 4), ylim=(-4, 4))
    axis.set_aspect("equal")


def _claims(numbers: Numbers) -> list[Claim]:
    runs = {(_components(panel["data"]), run["method"]): run for panel in numbers["panels"] for run in panel["runs"]}
    makers = (
        ("k = 2", "vae", _vanishing),
        ("k = 2", "lambda-vae", _kept_awake),
        ("k = 4", "vae", _open_gap),
        ("k = 4", "lambda-vae", _closed_gap),
    )
    return [
        make(runs[components, method])
        if (components, method) in runs
        else Claim(f"{components}, {method}.", "This run is missing.", NOT_SHOWN)
        for components, method, make in makers
    ] + [_identity([run for panel in numbers["panels"] for run in panel["runs"]])]


def _identity(runs: Sequence[Numbers]) -> Claim:
    """Eq. 8 at every snapshot; the bound on the largest difference holds however the snapshots depend on each other."""
    paper = "Eq. 8: the marginal KL, KL(q(z)‖p), is KL(q(z|x)‖p) less I(X;Z), an identity."
    found = [reading.get("identity", {}).get("difference", {}) for run in runs for reading in run["readings"]]
    known = [abs(one["value"]) / one["stderr"] for one in found if one.get("value") is not None and one.get("stderr")]
    if len(known) < len(found) or not known:
        return Claim(paper, f"Measured at {len(known)} of {len(found)} snapshots.", NOT_SHOWN)
    limit = NormalDist().inv_cdf(1 - _FALSE_ALARM / (2 * len(known)))
    nats = max(abs(one["value"]) for one in found)
    return Claim(
        paper,
        f"Both sides, from draws of their own, at each of {len(known)} snapshots of {len(runs)} runs: at most "
        f"{nats:.3f} nats and {max(known):.2f} standard errors apart; chance alone goes beyond {limit:.2f} in at most "
        f"{_FALSE_ALARM:.0%} of all cases.",
        verdict(max(known) <= limit),
    )


def _unknown(paper: str, run: Numbers) -> Claim | None:
    """What is said where the information could not be measured."""
    last = run["readings"][-1]
    if last["information"] is not None:
        return None
    return Claim(paper, f"I(X;Z) is unknown: {last.get('reason') or 'not a number'}.", NOT_SHOWN)


def _dead(run: Numbers) -> list[int]:
    std, signal = run["std_mean"][-1], run["signal_power"][-1]
    return [i for i in range(len(std)) if std[i] > _DEAD_STD and signal[i] < _DEAD_SIGNAL]


def _ends(run: Numbers) -> str:
    """Sigma, signal and rho of every dimension at the end."""
    return "; ".join(
        f"dimension {i + 1} σ = {std:.3f}, signal {signal:.4f}, ρ = {ratio:.3g}"
        for i, (std, signal, ratio) in enumerate(
            zip(run["std_mean"][-1], run["signal_power"][-1], run["gradient_ratio"][-1], strict=True)
        )
    )


def _first(epochs: Sequence[int], holds: Any) -> int | None:  # noqa: ANN401 - a row of booleans
    """The first epoch from which on it holds to the end."""
    fails = np.flatnonzero(~np.asarray(holds))
    after = int(fails[-1]) + 1 if fails.size else 0
    return int(epochs[after]) if after < len(epochs) else None


def _since(epoch: int | None, what: str) -> str:
    return f"stays {what} from epoch {epoch} on" if epoch is not None else f"does not stay {what}"


def _vanishing(run: Numbers) -> Claim:
    paper = (
        "k = 2, VAE: the reconstruction gradient of the low-variance dimension collapses to zero before σ → 1; "
        "complete information loss."
    )
    dead = _dead(run)
    if not dead:
        return Claim(paper, f"No dimension collapses in our run: {_ends(run)}.", verdict(False))
    pull = np.abs(np.array(run["reconstruction_gradient"])[:, dead[0]])
    std = np.array(run["std_mean"])[:, dead[0]]
    gone, collapsed = _first(run["epoch"], pull < 0.02 * pull.max()), _first(run["epoch"], std > 0.99)
    order = gone is not None and collapsed is not None and gone <= collapsed
    vanished = _since(gone, f"below 2% of its largest value ({pull.max():.3f})")
    near = _since(collapsed, "above 0.99")
    seen = f"Dimension {dead[0] + 1} collapses. Its |g| {vanished}, its σ {near}. At the end: {_ends(run)}."
    return Claim(paper, seen, verdict(order, IN_PART))


def _kept_awake(run: Numbers) -> Claim:
    lowest = np.array(run["gradient_ratio"], dtype=np.float64).min(1)[len(run["epoch"]) // 10 :].min()
    dead = _dead(run)
    awake = (
        "Both dimensions are in use at the end" if not dead else f"{len(dead)} of 2 dimensions collapse all the same"
    )
    return Claim(
        "k = 2, λ-VAE: amplification keeps ρ elevated and the dimension active throughout training.",
        f"{awake}: {_ends(run)}. Lowest ρ after the first tenth of training: {lowest:.3g}.",
        verdict(not dead),
    )


def _gap(run: Numbers) -> str:
    last = run["readings"][-1]
    capped = (
        ", so near its cap that it is a lower bound for the distribution behind the data" if last["saturated"] else ""
    )
    return f"I(X;Z) = {last['information']:.2f} ± {last['stderr']:.2f} of ln N = {last['cap']:.2f} nats{capped}"


def _kept_apart(run: Numbers) -> str:
    errors = ", ".join(f"{rmse:.3f}" for rmse in run["rmse"])
    agreement = run["agreement"]
    return (
        f"k-means finds the components in z with an adjusted Rand index of {agreement['latent']:.2f}, in the "
        f"reconstructions {agreement['reconstruction']:.2f}; RMS error of the reconstructions by axis {errors}"
    )


def _open_gap(run: Numbers) -> Claim:
    paper = "k = 4, VAE: a fluctuating non-zero information gap; variation is lost in latent and reconstruction space."
    if (unknown := _unknown(paper, run)) is not None:
        return unknown
    last = run["readings"][-1]
    known = [one for one in run["readings"] if one["information"] is not None]
    late = [reading["information"] for reading in known if reading["epoch"] >= 10]
    swing = f", between {min(late):.2f} and {max(late):.2f} from epoch 10 on" if late else ""
    return Claim(
        paper,
        f"{_gap(run)}{swing}. {_kept_apart(run)}.",
        verdict(last["cap"] - last["information"] > 0.5),
    )


def _closed_gap(run: Numbers) -> Claim:
    paper = "k = 4, λ-VAE: λ* > 2 for all dimensions, the gap is driven to zero and the four clusters are recovered."
    if (unknown := _unknown(paper, run)) is not None:
        return unknown
    last, exponent = run["readings"][-1], run["exponent"] or [1.0]
    gap, above = last["cap"] - last["information"], all(value > 2 for value in exponent)
    return Claim(
        paper,
        f"λ* at the end: {', '.join(f'{value:.2f}' for value in exponent)}. {_gap(run)}: a gap of {gap:.2f}. "
        f"{_kept_apart(run)}.",
        verdict(above and gap < 0.1 and run["agreement"]["reconstruction"] > 0.9, IN_PART if gap < 0.5 else DIFFERS),
    )


FIGURE = PaperFigure(
    title="Figure 3: both causes on mixtures of Gaussians",
    caption=(
        "Gradient imbalance and information gap on mixtures of Gaussians with two latent dimensions. Rows: data and "
        "method. Columns: the gradient ratio ρ of both dimensions over training; I(X;Z) of the distribution that z "
        "is sampled from, by the mixture estimator over the test set, whose largest value is ln N, and the marginal KL "
        "by both sides of Eq. 8, KL(q(z)‖p) (line) and, from other draws, KL(q(z|x)‖p) - I(X;Z) (rings); draws of z "
        "at the end of training; reconstructions at z = μ (marks) over the data (dots). Marks tell the components "
        "apart. Means of the components, their std, the size of the data and the length of the training are ours: the "
        "paper gives none."
    ),
    numbers=partial(panels_of, read=_of_run),
    drawing=_draw,
    claims=_claims,
    data=("gaussian-mixture-2", "gaussian-mixture-4"),
)
