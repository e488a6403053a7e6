"""The figures of the paper and of a comparison, as matplotlib figures that need no screen."""

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from lambda_vae.records.read import RunRecord
from lambda_vae.records.run_row import RunRow
from lambda_vae.reports.images import sheets
from lambda_vae.reports.measured import examples_word
from lambda_vae.reports.page_data import BIN_EDGES, exponent_curve, std_histogram
from lambda_vae.reports.pareto import Panel, frontier_panels
from lambda_vae.reports.placing import Label, place_labels
from lambda_vae.reports.style import COLORS, DASHES, MARKERS, look, new_figure
from lambda_vae.reports.tables import comparison_table

__all__ = [
    "equalization_figure",
    "exponent_figure",
    "frontier_figure",
    "image_figure",
    "std_panel",
    "theory_figure",
]

_LONGEST = 38  # letters of a name: two columns of a legend then fit under two panels


def equalization_figure(runs: Iterable[RunRecord]) -> Figure:
    """Return the paper's Figure 4: σ over epochs for each method, and λ (mean ± one standard deviation).

    Each panel shows how many dimensions have which mean σ at each epoch (dark is many) with mean ± standard deviation
    over dimensions on top, and the last epoch's histogram at its side.

    Args:
        runs: The first run of each label is drawn.

    Source:
        Paper, Figure 4 (a)-(d).
    """
    shown = list({run.label: run for run in reversed(list(runs)) if run.track("std_mean").size}.values())[::-1]
    with look():
        figure = new_figure(7.2, 2.3 * (len(shown) + 2) // 2 + 0.3)
        columns = 2 if shown else 1
        rows = -(-(len(shown) + 1) // columns)
        outer = figure.add_gridspec(rows, columns)
        for place, run in enumerate(shown):
            inner = outer[place // columns, place % columns].subgridspec(1, 2, width_ratios=(4, 1), wspace=0.03)
            axis = figure.add_subplot(inner[0], title=_short(run.label))
            std_panel(axis, figure.add_subplot(inner[1]), run.history["epochs"], run.track("std_mean"))
        last = slice(None) if len(shown) % columns == 0 else len(shown) % columns
        _exponent_panel(figure.add_subplot(outer[rows - 1, last]), shown)
    return figure


def std_panel(axis: Axes, side: Axes, epochs: Sequence[float], std: NDArray[np.float64]) -> None:
    """Draw how many dimensions have which mean σ at each epoch, and the last epoch's histogram at its side.

    Args:
        axis: Histograms over epochs, with mean ± one standard deviation over dimensions.
        side: The last histogram.
        epochs: E of them.
        std: Mean σ of each dimension, [E, D].
    """
    counts = np.stack([std_histogram(line) for line in std])
    edges = np.append(np.array(epochs) - 0.5, epochs[-1] + 0.5)
    axis.grid(False)
    # Whatever is there must be seen next to what is there thirty times.
    shade = np.where(counts > 0, 0.25 + 0.75 * np.sqrt(counts / max(counts.max(), 1)), 0)
    axis.pcolormesh(edges, BIN_EDGES, shade.T, cmap="Greys", vmin=0, vmax=1, rasterized=True)
    mean, spread = std.mean(1), std.std(1)
    axis.plot(epochs, mean, color=COLORS[1], lw=1.4)
    for bound in (mean - spread, mean + spread):
        axis.plot(epochs, bound, color=COLORS[1], lw=0.9, linestyle=DASHES[1])
    axis.set(xlabel="epoch", ylabel="mean σ", ylim=(0, BIN_EDGES[-1]))
    side.grid(False)
    side.barh(BIN_EDGES[:-1], counts[-1], np.diff(BIN_EDGES), align="edge", color="#555555")
    side.spines["left"].set_visible(False)
    side.tick_params(labelleft=False, left=False)
    side.set(ylim=(0, BIN_EDGES[-1]), xlabel="dims.", xticks=[0, int(counts[-1].max())])


def _exponent_panel(axis: Axes, runs: Sequence[RunRecord]) -> None:
    for index, run in enumerate(runs):
        exponent = run.track("exponent")
        if not exponent.size or run.row.delta is None:
            continue
        epochs, mean, spread = run.history["epochs"], exponent.mean(1), exponent.std(1)
        axis.plot(epochs, mean, color=_colour(index), linestyle=_dash(index), label=_short(run.label))
        axis.fill_between(epochs, mean - spread, mean + spread, color=_colour(index), alpha=0.15, lw=0)
    axis.set(title="λ, mean ± std over dimensions", xlabel="epoch", ylabel="λ", ylim=(0, None))
    if axis.get_legend_handles_labels()[0]:
        axis.legend()
    else:
        axis.text(0.5, 0.5, "λ = 1 throughout", transform=axis.transAxes, ha="center", color="#555555")


def frontier_figure(rows: Iterable[RunRow]) -> Figure:
    """Return likelihoods against active units and probe accuracy: means and spreads over seeds, with the frontiers.

    Points are numbered, and the numbers explained below, so that twenty methods can be told apart.

    Args:
        rows: One a run, as in table.json.
    """
    table = comparison_table(rows)
    panels = frontier_panels(table)
    shown = sorted({point.index for row in panels for panel in row for point in (*panel.points, *panel.above)})
    across = max(map(len, panels), default=1)
    with look():
        width = 3.6 + 1.5 * across
        columns = _legend_columns([table.lines[index].label for index in shown], width)
        figure = new_figure(width, 2.7 * max(len(panels), 1) + 0.17 * -(-len(shown) // columns) + 0.4)
        axes = figure.subplots(max(len(panels), 1), across, squeeze=False, sharex="col", sharey="row")
        for axis in axes.ravel():
            axis.set_visible(False)
        drawn = [(axes[r, c], panel) for r, row in enumerate(panels) for c, panel in enumerate(row)]
        for axis, panel in drawn:
            _frontier_panel(axis, panel, outer=(axis in axes[-1], axis in axes[:, 0]))
        if shown:
            handles = [_named_point(axes[0, 0], index, table.lines[index].label) for index in shown]
            figure.legend(handles=handles, loc="outside lower center", ncols=columns, handletextpad=0.4)
        for axis, panel in drawn:
            _write_numbers(figure, axis, panel)
    return figure


def _frontier_panel(axis: Axes, panel: Panel, outer: tuple[bool, bool]) -> None:
    axis.set_visible(True)
    front = [panel.points[i].place for i in panel.front]
    axis.plot([x for x, _ in front], [y for _, y in front], color="#888888", linestyle=":", lw=1.2, zorder=1)
    for point in panel.points:
        axis.errorbar(
            *point.place, xerr=point.x.spread, yerr=point.y.spread, color=_colour(point.index),
            marker=_marker(point.index), markersize=5.5, lw=0.9, capsize=2, linestyle="none",
        )  # fmt: skip
    across, upright = panel.titles()
    axis.set(xlabel=across if outer[0] else "", ylabel=upright.replace(" (", "\n(") if outer[1] else "")
    if panel.x.scale != 1:
        axis.xaxis.set_major_formatter(lambda value, _place: f"{value * panel.x.scale:g}")
    axis.margins(0.12)
    axis.set_title(panel.note(), loc="right", color="#555555", fontsize="small")


def _write_numbers(figure: Figure, axis: Axes, panel: Panel) -> None:
    points = panel.points
    labels = [Label(str(point.index + 1), *point.place, _colour(point.index)) for point in points]
    place_labels(figure, axis, labels, panel.front, [(point.x.spread, point.y.spread) for point in points])


def _named_point(axis: Axes, index: int, label: str) -> Line2D:
    line: Line2D = axis.plot([], [], linestyle="none", color=_colour(index), marker=_marker(index), markersize=5.5)[0]
    line.set_label(f"{index + 1:\u2007>2}  {_short(label)}")  # a space as wide as a digit
    return line


def _legend_columns(labels: Sequence[str], width: float) -> int:
    longest = max((min(len(label), _LONGEST) for label in labels), default=1)
    return max(1, min(len(labels), int(14 * width) // (longest + 8)))  # 14 letters an inch, 8 for mark and number


def exponent_figure(runs: Iterable[RunRecord]) -> Figure:
    """Return each dimension's λ against its σ at the end of training, with Eq. 16's curve for its δ.

    Args:
        runs: Runs with dimensions.

    Source:
        Paper, Figure 7 and Eq. 16.
    """
    known = [run for run in runs if run.column("std_mean").size and run.column("exponent").size]
    colours = _indices(known)
    with look():
        figure = new_figure(5.4, 4.0)
        axis = figure.subplots()
        for run in known:
            index = colours[run.label]
            many = len(run.column("std_mean")) > 200
            axis.plot(
                run.column("std_mean"), run.column("exponent"), linestyle="none", marker=MARKERS[index % len(MARKERS)],
                markersize=2.5 if many else 5, markerfacecolor="none", color=_colour(index), rasterized=many, alpha=0.8,
            )  # fmt: skip
        for run in {run.label: run for run in known}.values():
            index = colours[run.label]
            axis.plot(*exponent_curve(run.row.delta), color=_colour(index), linestyle=_dash(index), lw=1)
        axis.set(xlabel="mean σ of a dimension", ylabel="λ", xlim=(0, 1.03), ylim=(0, None))
        axis.set_title("markers: dimensions; lines: Eq. 16", color="#555555")
        _legend(figure, colours, marks=True)
    return figure


def image_figure(run: RunRecord) -> Figure:
    """Return originals over reconstructions, traversals and samples from the prior of one run.

    Args:
        run: A run with pictures; what it lacks is left out.
    """
    titles = {
        "reconstructions": f"{examples_word([run.row])} images, reconstructions",
        "traversals": "one dimension moved",
        "prior_samples": "samples from the prior",
    }
    panels = [(titles[name], sheet) for name, sheet in sheets(run.images, 12).items()]
    with look():
        heights = [image.shape[0] / image.shape[1] for _, image in panels] or [1.0]
        figure = new_figure(5.2, 4.8 * sum(heights) + 0.35 * len(heights) + 0.3)
        figure.suptitle(_short(run.label))
        axes = figure.subplots(max(len(panels), 1), 1, gridspec_kw={"height_ratios": heights}, squeeze=False).ravel()
        for axis in axes:
            axis.set_axis_off()
        for axis, (title, image) in zip(axes, panels, strict=False):
            axis.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axis.set_title(title)
    return figure


def theory_figure(
    std: NDArray[np.float64],
    deltas: Sequence[float],
    exponent: NDArray[np.float64],
    sampling_std: NDArray[np.float64],
    capacity: NDArray[np.float64],
) -> Figure:
    """Return what a δ implies: λ(σ), the sampling noise, the capacity of one dimension.

    Args:
        std: σ, [S].
        deltas: The trade-offs, n of them.
        exponent: λ at each σ, [n, S].
        sampling_std: Noise at each σ, [n, S].
        capacity: Capacity of one dimension with unit signal at each σ, nats, [n, S].

    Source:
        Paper, Eq. 7, 16 and 17.
    """
    panels = ((exponent, "λ"), (sampling_std, "noise σ^λ"), (capacity, "capacity of one dimension, nats"))
    with look():
        figure = new_figure(8.4, 3.0)
        for axis, (values, title) in zip(figure.subplots(1, 3), panels, strict=True):
            for index, line in enumerate(values):
                axis.plot(std, line, color=_colour(index), linestyle=_dash(index))
            axis.set(xlabel="σ", ylabel=title, xlim=(0, 1), ylim=(0, None))
        _legend(figure, {f"δ = {delta:g}": index for index, delta in enumerate(deltas)})
    return figure


def _indices(runs: Iterable[RunRecord]) -> dict[str, int]:
    return {label: index for index, label in enumerate(dict.fromkeys(run.label for run in runs))}


def _colour(index: int) -> str:
    return COLORS[index % len(COLORS)]


def _marker(index: int) -> str:
    # Colours come round after eight; the marks then stand one further on.
    return MARKERS[(index + index // len(COLORS)) % len(MARKERS)]


def _dash(index: int) -> str | tuple[int, tuple[float, ...]]:
    return DASHES[index % len(DASHES)]


def _short(label: str, most: int = _LONGEST) -> str:
    # A dollar sign would start matplotlib's mathematics.
    return (label if len(label) <= most else f"{label[: most - 1]}…").replace("$", r"\$")


def _legend(figure: Figure, labels: dict[str, int], marks: bool = False) -> None:
    if not labels:
        return
    axis = figure.axes[0]
    handles = [
        axis.plot([], [], color=_colour(i), linestyle=_dash(i), marker=MARKERS[i % len(MARKERS)] if marks else "",
                  markerfacecolor="none", label=_short(label))[0]
        for label, i in labels.items()
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=min(4, len(handles)))
