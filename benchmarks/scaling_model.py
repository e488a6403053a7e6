"""Time per step as a sum of what can be counted, its coefficients fitted, and how far it is off elsewhere.

t = t0 + B (F / rate + M / traffic) + 4 W / weights, for B examples a step of F floating-point operations and M bytes
kept from forward to backward each, and W weights. Two processes on two cores slow each other down by a factor, and each
further process adds its meeting and its part of the joint batch's noise, which every process draws; gradients add
4 W / exchange.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod
from statistics import median
from typing import Any

import numpy as np
from scipy.optimize import nnls

__all__ = ["Model", "counts_of", "fit", "fit_information", "information_seconds"]

Counts = dict[str, float]


@dataclass(frozen=True)
class Model:
    """The coefficients of one kind of network on one machine.

    Args:
        fixed: Seconds of a step that hang on nothing counted.
        flop: Seconds a floating-point operation.
        kept: Seconds a byte kept for the backward pass.
        weight: Seconds a byte of weights, through gradients and Adam.
        slowdown: Factor on all of this where the other core is at work too.
        gradient: Seconds a byte of gradients exchanged between processes.
        drawn: Seconds a number of another process's images, for which the noise is drawn too.
        meeting: Seconds a step to meet another process.
    """

    fixed: float
    flop: float
    kept: float
    weight: float
    slowdown: float
    gradient: float
    drawn: float
    meeting: float

    def alone(self, counts: Counts) -> float:
        """Return seconds a step of one process.

        Args:
            counts: From `counts_of`.
        """
        example = counts["flops"] * self.flop + counts["kept"] * self.kept
        return self.fixed + counts["batch"] * example + 4 * counts["weights"] * self.weight

    def together(self, counts: Counts, processes: int = 2) -> float:
        """Return seconds a step of processes that share a joint batch, `batch` examples each.

        Args:
            counts: From `counts_of`.
            processes: On a core each; beyond two this is extrapolated: the same slowdown, each process moves as many
                bytes as of two, meets every other and draws the noise for every other.
        """
        other = counts["batch"] * counts["numbers"] * self.drawn + self.meeting
        exchange = 4 * counts["weights"] * self.gradient + (processes - 1) * other
        return self.slowdown * self.alone(counts) + exchange

    def efficiency(self, counts: Counts, processes: int) -> float:
        """Return the images a second of processes together over those of as many apart.

        Args:
            counts: From `counts_of`.
            processes: As for `together`.
        """
        return self.slowdown * self.alone(counts) / self.together(counts, processes)

    def to_record(self) -> dict[str, float]:
        """Return the coefficients."""
        return asdict(self)


def counts_of(task: dict[str, Any]) -> Counts:
    """Return what is counted of a step: by the estimate of `lambda-vae train --estimate`.

    Args:
        task: As for `process_group`.
    """
    from lambda_vae.runs.cost import cost_of
    from process_group import run_of

    run = run_of(task)
    cost = cost_of(run, limit=0.5)
    return {
        "batch": float(cost.options.batch_size),
        "flops": cost.flops_per_example,
        "kept": cost.kept_per_example,
        "weights": float(cost.weights),
        "numbers": float(prod(run.dataset.shape)),
        "estimate": cost.seconds_per_example * cost.options.batch_size,
    }


def _least_relative(columns: Sequence[Sequence[float]], seconds: Sequence[float]) -> list[float]:
    """Coefficients of at least 0 with the least sum of squared relative errors."""
    wide = np.array(columns).T / np.array(seconds)[:, None]
    scale = np.linalg.norm(wide, axis=0)
    found, _ = nnls(wide / scale, np.ones(len(seconds)))
    return [float(value) for value in found / scale]


def fit(points: Sequence[dict[str, Any]]) -> Model:
    """Return the model of points that are not held out.

    Args:
        points: Each with `counts`, `alone`, and where they were measured `apart` and `together`, in seconds a step.
    """
    used = [point for point in points if not point["held_out"]]
    counts = [point["counts"] for point in used]
    columns = [
        [1.0 for _ in counts],
        [one["batch"] * one["flops"] for one in counts],
        [one["batch"] * one["kept"] for one in counts],
        [4 * one["weights"] for one in counts],
    ]
    fixed, flop, kept, weight = _least_relative(columns, [point["alone"] for point in used])
    pairs = [point for point in used if "together" in point]
    slowdown = median(point["apart"] / point["alone"] for point in pairs)
    # What the exchange adds is small beside the step: its error is taken relative to the whole step.
    over = [max(0.0, point["together"] - point["apart"]) / point["together"] for point in pairs]
    sizes = [point["counts"] for point in pairs]
    wide = np.array([[4 * one["weights"], one["batch"] * one["numbers"], 1.0] for one in sizes])
    wide /= np.array([point["together"] for point in pairs])[:, None]
    scale = np.linalg.norm(wide, axis=0)
    found, _ = nnls(wide / scale, np.array(over))
    gradient, drawn, meeting = (float(value) for value in found / scale)
    return Model(fixed, flop, kept, weight, slowdown, gradient, drawn, meeting)


def fit_information(points: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """Return a and b of seconds = N² (a + b K), from the points that are not held out.

    Args:
        points: Each with `examples`, `dim` and `seconds`.
    """
    used = [point for point in points if not point["held_out"]]
    pairs = [float(point["examples"]) ** 2 for point in used]
    columns = [pairs, [pair * point["dim"] for pair, point in zip(pairs, used, strict=True)]]
    a, b = _least_relative(columns, [point["seconds"] for point in used])
    return a, b


def information_seconds(found: Sequence[float], examples: float, dim: float) -> float:
    """Return the seconds that I(X;Z) takes.

    Args:
        found: From `fit_information`.
        examples: N.
        dim: K.
    """
    return examples**2 * (found[0] + found[1] * dim)
