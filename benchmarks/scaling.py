"""Time per training step against batch, K, width and processes: measured on a small grid, fitted, checked beside it.

Every point is trained some steps a turn, in turn with the others; medians over the turns. Two processes are timed apart
and together as in `distributed.py`. I(X;Z) over a data set is timed against N and K. Writes results/scaling.md,
results/scaling.json and results/scaling.svg.
"""

import argparse
import os
import time
from pathlib import Path
from statistics import median
from typing import Any

from facts import facts
from lambda_vae.files import write_atomic, write_json
from lambda_vae.paper.tables import TABLES
from process_group import Group
from scaling_model import counts_of, fit, fit_information
from scaling_page import draw, page

__all__ = ["measure"]

_IMAGES = {**TABLES["table2"].settings, **(TABLES["table2"].scales["cpu"].settings or {}), "scale_learning_rate": False}

#: batch, width, K, method; whether two processes are timed too; whether the fit does without it.
_MLP = (
    (25, 300, 30, "lambda-vae", True, False),
    (100, 300, 30, "lambda-vae", True, False),
    (400, 300, 30, "lambda-vae", False, False),
    (100, 100, 30, "lambda-vae", True, False),
    (400, 100, 30, "lambda-vae", False, False),
    (25, 900, 30, "lambda-vae", True, False),
    (100, 900, 30, "lambda-vae", True, False),
    (400, 900, 30, "lambda-vae", False, False),
    (100, 300, 300, "lambda-vae", False, False),
    (25, 100, 300, "lambda-vae", False, False),
    (50, 600, 30, "lambda-vae", True, True),
    (200, 300, 100, "lambda-vae", True, True),
    (800, 600, 100, "lambda-vae", False, True),
    (100, 1500, 30, "lambda-vae", False, True),
)
#: The same with the decoder's width; the encoder has half of it.
_RESNET = (
    (10, 16, 256, "lambda-vae", True, False),
    (50, 16, 256, "lambda-vae", True, False),
    (10, 8, 256, "lambda-vae", False, False),
    (50, 8, 256, "lambda-vae", False, False),
    (10, 32, 256, "lambda-vae", True, False),
    (25, 32, 64, "lambda-vae", False, False),
    (25, 16, 64, "lambda-vae", False, False),
    (25, 16, 256, "lambda-vae", True, True),
    (25, 24, 128, "lambda-vae", False, True),
    (10, 48, 256, "lambda-vae", False, True),
)
_METHODS = ((100, 300, 30, "vae"), (100, 300, 300, "vae"), (25, 100, 300, "vae"))

#: N, K; whether the fit does without it.
_INFORMATION = ((2500, 30, False), (5000, 30, False), (5000, 256, False), (10_000, 30, True), (10_000, 512, True))


def _mlp(batch: int, width: int, dim: int, method: str) -> dict[str, Any]:
    settings = {"method": method, "batch_size": batch, "latent_dim": dim, "hidden": [width] * 3}
    return {"settings": settings, "shape": (28, 28, 1), "steps": max(4, min(40, 4_000_000 // (batch * (width + 200))))}


def _resnet(batch: int, width: int, dim: int, method: str) -> dict[str, Any]:
    settings = {**_IMAGES, "method": method, "batch_size": batch, "latent_dim": dim}
    settings |= {"encoder_width": width // 2, "decoder_width": width}
    return {"settings": settings, "shape": (32, 32, 3), "steps": max(2, min(8, 2400 // (batch * width)))}


def _points() -> list[dict[str, Any]]:
    points = []
    for network, make, grid in (("mlp", _mlp, _MLP), ("resnet", _resnet, _RESNET)):
        for batch, width, dim, method, pair, held_out in grid:
            task = make(batch, width, dim, method)
            size = {"network": network, "batch": batch, "width": width, "dim": dim, "method": method}
            points.append({**size, "pair": pair, "held_out": held_out, "task": task, "counts": counts_of(task)})
    for batch, width, dim, method in _METHODS:
        size = {"network": "mlp", "batch": batch, "width": width, "dim": dim, "method": method}
        points.append({**size, "pair": False, "held_out": False, "task": _mlp(batch, width, dim, method)})
    return points


def _time_steps(points: list[dict[str, Any]], rounds: int) -> None:
    """Put seconds a step into every point: `alone`, and where asked `apart` and `together`."""
    with Group(1) as alone, Group(2) as apart, Group(2, together=True) as together:
        groups = {"alone": alone, "apart": apart, "together": together}
        taken: list[dict[str, list[float]]] = [{name: [] for name in groups} for _ in points]
        for turn in range(rounds + 1):
            for point, times in zip(points, taken, strict=True):
                for name, group in groups.items():
                    if name == "alone" or point["pair"]:
                        answers = group.epoch(point["task"])
                        if turn:
                            times[name].append(sum(answer["wall"] for answer in answers) / len(answers))
            print(f"round {turn} of {rounds}", flush=True)
    for point, times in zip(points, taken, strict=True):
        point.update({name: median(values) for name, values in times.items() if values})


def _time_information(rounds: int) -> list[dict[str, Any]]:
    import torch

    from lambda_vae.estimation._mutual_information import mutual_information

    torch.set_num_threads(1)
    found = []
    for examples, dim, held_out in _INFORMATION:
        generator = torch.Generator().manual_seed(0)
        mu = torch.randn(examples, dim, generator=generator)
        logvar = -4.0 * torch.rand(examples, dim, generator=generator)
        times = []
        for _ in range(rounds):
            started = time.perf_counter()
            mutual_information(mu, logvar, generator)
            times.append(time.perf_counter() - started)
        found.append({"examples": examples, "dim": dim, "held_out": held_out, "seconds": median(times)})
    return found


def measure(rounds: int) -> dict[str, Any]:
    """Return what scaling.json holds.

    Args:
        rounds: Turns of each point, after one to warm up.
    """
    points = _points()
    _time_steps(points, rounds)
    information = _time_information(rounds)
    models = {}
    for network in ("mlp", "resnet"):
        models[network] = fit([point for point in points if point["network"] == network and "counts" in point])
    for point in points:
        del point["task"]
        if "counts" in point:
            model = models[point["network"]]
            point["predicted"] = {"alone": model.alone(point["counts"])}
            if point["pair"]:
                point["predicted"]["together"] = model.together(point["counts"])
    return {
        **facts(),
        "rounds": rounds,
        "models": {name: model.to_record() for name, model in models.items()},
        "points": points,
        "information": {"points": information, "fit": fit_information(information)},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("results"))
    chosen = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("benchmarks/scaling.py needs two cores; left out")
    record = measure(chosen.rounds)
    write_json(chosen.out / "scaling.json", record)
    write_atomic(chosen.out / "scaling.md", page(record))
    draw(record, chosen.out / "scaling.svg")
    print(page(record))
