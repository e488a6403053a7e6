"""The page and the figure of the scaling benchmark, both made from the record."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.axes import Axes

from facts import facts_lines
from lambda_vae.reports.style import COLORS, INK, MARKERS, look, name_line, name_panel, new_figure, save_figure
from scaling_model import Model, information_seconds

__all__ = ["draw", "page"]

_NETWORKS = {"mlp": "MLP, 28x28", "resnet": "ResNet, 32x32x3"}
_PROCESSES = (1, 2, 4, 8)


def _models(record: dict[str, Any]) -> dict[str, Model]:
    return {name: Model(**values) for name, values in record["models"].items()}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    marks = ["---"] * left + ["---:"] * (len(head) - left)
    return [f"| {' | '.join(cells)} |" for cells in (head, marks, *rows)]


def _speed(seconds: float, unit: str) -> str:
    """A billion units in so many seconds each; a dash where the fit found that they cost nothing."""
    return f"{1e-9 / seconds:,.3g} {unit}" if seconds else "–"


def _coefficients(models: dict[str, Model]) -> list[str]:
    head = ["", "t0", "rate", "traffic", "weights", "slowdown", "exchange", "drawn", "meeting"]
    rows = [
        [
            _NETWORKS[name],
            f"{1e3 * model.fixed:.2f} ms",
            _speed(model.flop, "GFLOP/s"),
            _speed(model.kept, "GB/s"),
            _speed(model.weight, "GB/s"),
            f"{model.slowdown:.2f}",
            _speed(model.gradient, "GB/s"),
            _speed(model.drawn, "G/s"),
            f"{1e3 * model.meeting:.2f} ms",
        ]
        for name, model in models.items()
    ]
    return _table(head, rows)


def _off(predicted: float, measured: float) -> str:
    return f"{predicted / measured - 1:+.0%}"


def _checks(points: Sequence[dict[str, Any]]) -> list[str]:
    head = ["", "batch", "width", "K", "one, ms", "predicted", "off", "two, ms", "predicted", "off"]
    rows = []
    for point in points:
        cells = [_NETWORKS[point["network"]], *(str(point[name]) for name in ("batch", "width", "dim"))]
        for name in ("alone", "together"):
            if name in point:
                told, found = point["predicted"][name], point[name]
                cells += [f"{1e3 * found:.2f}", f"{1e3 * told:.2f}", _off(told, found)]
            else:
                cells += ["", "", ""]
        rows.append(cells)
    return _table(head, rows)


def _errors(points: Sequence[dict[str, Any]], name: str) -> str:
    off = [abs(point["predicted"][name] / point[name] - 1) for point in points if name in point]
    return f"median {median(off):.0%}, at most {max(off):.0%}"


def _equalized(record: dict[str, Any]) -> list[str]:
    """What λ adds to a step, from points timed with and without it."""
    plain = [point for point in record["points"] if point["method"] == "vae"]
    names = ("network", "batch", "width", "dim")
    rows = []
    for one in plain:
        size = [one[name] for name in names]
        twin = next(p for p in record["points"] if p["method"] != "vae" and [p[name] for name in names] == size)
        added = twin["alone"] - one["alone"]
        cells = [
            *map(str, size[1:]),
            f"{1e3 * one['alone']:.2f}",
            f"{1e3 * added:+.2f}",
            f"{added / one['alone']:+.1%}",
        ]
        rows.append(cells)
    return _table(["batch", "width", "K", "plain VAE, ms", "λ adds, ms", "of the step"], rows, 0)


def _information(record: dict[str, Any]) -> list[str]:
    found = record["information"]["fit"]
    rows = []
    for point in record["information"]["points"]:
        told = information_seconds(found, point["examples"], point["dim"])
        cells = [f"{point['examples']:,}", str(point["dim"]), f"{point['seconds']:.2f}", f"{told:.2f}"]
        rows.append([*cells, _off(told, point["seconds"]), "held out" if point["held_out"] else "fitted"])
    return _table(["N", "K", "s", "predicted", "off", ""], rows, 0)


def _shown(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The points whose efficiency is carried on to more processes: measured on two, and used by the fit."""
    return [point for point in record["points"] if "together" in point and not point["held_out"]]


def _efficiencies(record: dict[str, Any]) -> list[str]:
    models, rows = _models(record), []
    for point in _shown(record):
        model = models[point["network"]]
        told = [f"{model.efficiency(point['counts'], count):.0%}" for count in _PROCESSES[1:]]
        size = [str(point[name]) for name in ("batch", "width", "dim")]
        rows.append([_NETWORKS[point["network"]], *size, f"{point['apart'] / point['together']:.0%}", *told])
    head = ["", "batch", "width", "K", "two, measured", *(f"{count}, by the model" for count in _PROCESSES[1:])]
    return _table(head, rows)


def page(record: dict[str, Any]) -> str:
    """Return the results page, Markdown.

    Args:
        record: What scaling.json holds.
    """
    counted = [point for point in record["points"] if "counts" in point]
    fitted = [point for point in counted if not point["held_out"]]
    held = [point for point in counted if point["held_out"]]
    estimates = [point["counts"]["estimate"] / point["alone"] for point in counted]
    a, b = record["information"]["fit"]
    lines = [
        "# Time per step, fitted and checked",
        "",
        *facts_lines(record, "two"),
        "",
        f"Wall clock, {record['rounds']} turns of each point after one to warm up, medians; float32, matmul highest, "
        "one thread a process. B examples a step of D numbers, F operations and M "
        "kept bytes each, W weights:",
        "",
        "t = t0 + B (F / rate + M / traffic) + 4 W / weights; P processes: slowdown t + 4 W / exchange + "
        "(P − 1) (B D / drawn + meeting).",
        "",
        "<!-- coefficients -->",
        *_coefficients(_models(record)),
        "<!-- end -->",
        "",
        f"Off at the fitted points: one process {_errors(fitted, 'alone')}; two {_errors(fitted, 'together')}.",
        f"Off at those held out: one process {_errors(held, 'alone')}; two {_errors(held, 'together')}.",
        "",
        "## Held out",
        "",
        "<!-- checks -->",
        *_checks(held),
        "<!-- end -->",
        "",
        "## Fitted",
        "",
        *_checks(fitted),
        "",
        "## Together over apart",
        "",
        "Images a second of processes on a joint batch over those of as many independent ones. Beyond two: assumed "
        "that every process has a core of its own and memory is no slower than for two.",
        "",
        "<!-- efficiency -->",
        *_efficiencies(record),
        "<!-- end -->",
        "",
        "## What λ adds",
        "",
        *_equalized(record),
        "",
        "## I(X;Z)",
        "",
        f"s = N² (a + b K), a = {a:.2e} s, b = {b:.2e} s.",
        "",
        *_information(record),
        "",
        "## The printed estimate",
        "",
        "`lambda-vae train --estimate` says how long a step takes here. Its seconds over those measured: median "
        f"{median(estimates):.2f}, {min(estimates):.2f} to {max(estimates):.2f}.",
        "",
    ]
    return "\n".join(lines)


def _draw_checks(axis: Axes, record: dict[str, Any]) -> None:
    ends = []
    for number, network in enumerate(_NETWORKS):
        for point in record["points"]:
            if point["network"] != network or "predicted" not in point:
                continue
            for name, told in point["predicted"].items():
                face = "none" if point["held_out"] else COLORS[number]
                marker = MARKERS[0] if name == "alone" else MARKERS[3]
                axis.plot(1e3 * told, 1e3 * point[name], marker, color=COLORS[number], mfc=face, ms=5)
                ends += [1e3 * told, 1e3 * point[name]]
    line = [0.8 * min(ends), 1.25 * max(ends)]
    axis.plot(line, line, color=INK, lw=0.8)
    axis.set(xscale="log", yscale="log", xlabel="ms a step, predicted", ylabel="ms a step, measured")
    for number, name in enumerate(_NETWORKS.values()):
        axis.plot([], [], MARKERS[0], color=COLORS[number], ms=5, label=name)
    for label, marker, face in (("two processes", 3, INK), ("held out", 0, "none")):
        axis.plot([], [], MARKERS[marker], color=INK, mfc=face, ms=5, label=label)
    axis.legend(loc="upper left")
    name_panel(axis, "a", "The model, checked")


def _draw_processes(axis: Axes, record: dict[str, Any]) -> None:
    models, names = _models(record), []
    for number, point in enumerate(_shown(record)):
        model, color = models[point["network"]], COLORS[number % len(COLORS)]
        told = [100 * model.efficiency(point["counts"], count) for count in _PROCESSES[1:]]
        axis.plot(_PROCESSES[1:], told, "--", color=color, lw=1.2)
        axis.plot(2, 100 * point["apart"] / point["together"], MARKERS[0], color=color, ms=5)
        kind = "MLP" if point["network"] == "mlp" else "ResNet"
        names.append((told[-1], f"{kind} {point['width']}, batch {point['batch']}", color))
    place = 200.0
    for height, name, color in sorted(names, reverse=True):  # names keep their distance where lines do not
        place = min(height, place - 3.2)
        name_line(axis, (8.0, place), name, color)
    axis.set(xscale="log", xlabel="processes, a core each", ylabel="% of as many apart", xlim=(1.8, 24))
    axis.set_xticks(_PROCESSES[1:], [str(count) for count in _PROCESSES[1:]])
    axis.minorticks_off()
    name_panel(axis, "b", "Together (dashed: extrapolated)")


def _draw_information(axis: Axes, record: dict[str, Any]) -> None:
    points, found = record["information"]["points"], record["information"]["fit"]
    most = max(point["examples"] for point in points)
    for number, dim in enumerate(sorted({point["dim"] for point in points})):
        along = [most / 4 * 1.1**step for step in range(24)]
        told = [information_seconds(found, size, dim) for size in along]
        axis.plot(along, told, color=COLORS[number], lw=1.2)
        name_line(axis, (along[-1], told[-1]), f"K = {dim}", COLORS[number])
        for point in (one for one in points if one["dim"] == dim):
            face = "none" if point["held_out"] else COLORS[number]
            axis.plot(point["examples"], point["seconds"], MARKERS[0], color=COLORS[number], mfc=face, ms=5)
    axis.set(xscale="log", yscale="log", xlabel="examples N", ylabel="s for I(X;Z)", xlim=(most / 5, 6 * most))
    sizes = sorted({point["examples"] for point in points})
    axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axis.minorticks_off()
    name_panel(axis, "c", "Measuring, N²(a + bK)")


def draw(record: dict[str, Any], path: Path) -> None:
    """Write the figure.

    Args:
        record: What scaling.json holds.
        path: Where to.
    """
    with look():
        figure = new_figure(10.5, 3.4)
        left, middle, right = figure.subplots(1, 3)
        _draw_checks(left, record)
        _draw_processes(middle, record)
        _draw_information(right, record)
    save_figure(figure, path)
