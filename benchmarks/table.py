"""The table of the training benchmark and what it says, both made from the numbers."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from contenders import CONTENDERS
from facts import facts_lines

__all__ = ["page", "row"]

#: Ours, the ratio it is judged by, and what the project asks of it.
_GOALS = (
    ("plain", "speed", "at least 2.4 times pythae's speed", lambda ratio: ratio >= 2.4),
    ("bfloat16", "speed", "at least 3.0 times pythae's speed", lambda ratio: ratio >= 3.0),
    ("plain", "of_jax", "at least 0.9 of JAX's speed", lambda ratio: ratio >= 0.9),
    ("bfloat16", "of_jax", "at least 1.1 of JAX's speed", lambda ratio: ratio >= 1.1),
    ("plain", "of_floor", "at most 1.8 times the bare products of the same route", lambda ratio: ratio <= 1.8),
    ("measured", "of_plain", "diagnostics at most 3% slower", lambda ratio: ratio <= 1.03),
)


def _ratio(epochs: dict[str, list[dict[str, float]]], upper: str | None, lower: str) -> float | None:
    """Median over the rounds of one contender's CPU time over another's in the same round."""
    if upper is None or not {upper, lower} <= epochs.keys():
        return None
    pairs = zip(epochs[upper][1:], epochs[lower][1:], strict=True)
    return median(a["cpu"] / b["cpu"] for a, b in pairs)


def row(name: str, epochs: dict[str, list[dict[str, float]]], steps: int) -> dict[str, Any]:
    """Return one contender's numbers; times in ms a step.

    Args:
        name: The contender.
        epochs: Of all contenders, the warm-up first.
        steps: In an epoch.
    """
    cpu = [1000 * turn["cpu"] / steps for turn in epochs[name][1:]]
    wall = [1000 * turn["wall"] / steps for turn in epochs[name][1:]]
    floor = CONTENDERS[name].floor
    over_floor = _ratio(epochs, floor, name)
    return {
        "name": name,
        "label": CONTENDERS[name].label,
        "cpu_ms": median(cpu),
        "cpu_ms_range": [min(cpu), max(cpu)],
        "wall_ms": median(wall),
        "speed": _ratio(epochs, "pythae", name),
        "of_jax": _ratio(epochs, "jax", name),
        "of_floor": None if over_floor is None else 1 / over_floor,
        "of_plain": _ratio(epochs, name, "plain"),
        "first_epoch_seconds": epochs[name][0]["wall"],
        "cpu_ms_rounds": cpu,
        "wall_ms_rounds": wall,
    }


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _says(record: dict[str, Any]) -> list[str]:
    rows = {one["name"]: one for one in record["rows"]}
    lines = []
    for name, ratio, goal, met in _GOALS:
        value = rows.get(name, {}).get(ratio)
        if value is not None:
            lines.append(
                f"- {rows[name]['label']}: {goal}: **{'met' if met(value) else 'not met'}**, here {value:.2f}."
            )
    fastest = min(
        (one for one in record["rows"] if CONTENDERS[one["name"]].module == "ours"), key=lambda one: one["cpu_ms"]
    )
    lines.append(f"- Our quickest setting on this machine: {fastest['label']}, {fastest['cpu_ms']:.2f} ms a step.")
    if record["machine"]["bfloat16"] is False:
        lines.append(
            "- This processor has no bfloat16 arithmetic: it imitates it, slowly. Leave `--precision float32` here."
        )
    return lines


_COLUMNS = (
    "contender",
    "CPU, ms a step",
    "least to most",
    "wall, ms a step",
    "speed, pythae = 1",
    "speed, JAX = 1",
    "time, its bare products = 1",
    "first epoch, s",
)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def page(record: dict[str, Any]) -> str:
    """Return the results page, Markdown.

    Args:
        record: What benchmarks.json holds.
    """
    lines = ["# Training, side by side", "", *facts_lines(record), ""]
    lines += [
        "The VAE of the MNIST experiments (784-300-300-300-30 and back, 860,044 parameters), "
        f"batch {record['batch_size']}; {record['data']}. One core, one process a contender; they take turns, an epoch "
        f"each, for {record['rounds']} rounds after one to warm up. Medians; process CPU time decides, for the wall "
        "clock also counts what else the machine does. Ratios are medians of the ratios within a round.",
        "",
        _line(_COLUMNS),
        _line(["---"] * len(_COLUMNS)),
    ]
    for one in record["rows"]:
        low, high = one["cpu_ms_range"]
        cells = [one["label"], _number(one["cpu_ms"]), f"{low:.2f}–{high:.2f}", _number(one["wall_ms"])]
        cells += [_number(one[ratio]) for ratio in ("speed", "of_jax", "of_floor")]
        cells.append(f"{one['first_epoch_seconds']:.1f}")
        lines.append(_line(cells))
    for name, why in record["left_out"].items():
        lines.append(_line([CONTENDERS[name].label, f"left out: {why}", *[""] * (len(_COLUMNS) - 2)]))
    return "\n".join([*lines, "", *(_says(record) if record["rows"] else []), ""])
