"""Packages whose VAE has no adapter of ours: plain, and with lambda in at most three lines, by their own measure.

Each package wants an environment of its own, beside lambda-vae; `--environment` prints what to install:

    pip install lambda-vae torch==2.13.0 ctgan==0.12.1 sdmetrics==0.32.0 copulas==0.14.1 statsmodels==0.15.0
    python benchmarks/hosts_equalized.py tvae

A run is added to results/hosts-equalized.json, and results/hosts-equalized.md is written from there. delta
"plain" trains without lambda-vae, "inf" with it and lambda = 1: both must end in the same weights, bit for bit.
"warm-up" (tvae and vaecf) raises the KL weight from 0 to 1 instead, for as long as lambda acts.
"""

import argparse
import hashlib
import json
import logging
import math
import random
import time
import warnings
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from equalized_hosts import ENVIRONMENTS, Found, drvi, mlcolvar, mlcolvar_tens, tvae, vaecf
from equalized_more_hosts import act, monai, pyod, vgae
from facts import facts
from lambda_vae.files import write_atomic

__all__ = ["page"]

RUNS: dict[str, Callable[..., Found]] = {
    run.__name__: run for run in (tvae, vaecf, drvi, mlcolvar, mlcolvar_tens, pyod, monai, vgae, act)
}


def page(runs: list[dict[str, Any]]) -> str:
    """Return the page.

    Args:
        runs: Of any hosts, seeds and deltas.
    """
    lines = [
        "# Packages equalized in at most three lines",
        "",
        f"`python benchmarks/hosts_equalized.py HOST`, {sum(run['seconds'] for run in runs) / 3600:.2f} hours of one "
        "core. Each package with its own defaults unless said; lambda is released over the last third of the training, "
        "so that every model below is an ordinary one. Means and standard deviations of seeds; a change is from the "
        "plain run of the same seed. Active: Var(mu) > 0.01. KL and bounds in nats an example.",
        "",
    ]
    for host in [name for name in RUNS if any(run["host"] == name for run in runs)]:
        lines += _section(host, [run for run in runs if run["host"] == host])
    return "\n".join(lines)


def _section(host: str, runs: list[dict[str, Any]]) -> list[str]:
    of = {(run["delta"], run["seed"]): run for run in runs}
    deltas = sorted({run["delta"] for run in runs} - {"plain", "inf"})
    seeds = sorted({seed for delta, seed in of if delta == "plain"})
    same = [of["inf", seed]["weights"] == of["plain", seed]["weights"] for seed in seeds if ("inf", seed) in of]
    counts = {delta: sum((delta, seed) in of for seed in seeds) for delta in deltas}
    titles = [f"{_title(delta)} | change, of {counts[delta]}" for delta in deltas]
    stamps = sorted({f"{run['date']}, commit {run['commit']}" for run in runs})
    lines = [
        f"## {host}",
        "",
        (RUNS[host].__doc__ or "").strip(),
        "",
        f"Seeds {', '.join(map(str, seeds))}; {'; '.join(stamps)}. {runs[-1]['versions']}. "
        f"Final weights at delta = inf the plain run's, bit for bit: {sum(same)} of {len(same)}.",
        "",
        f"| | plain | {' | '.join(titles)} |",
        f"| --- | ---: |{' ---: | ---: |' * len(deltas)}",
    ]
    for name in runs[0]["found"]:
        plain = {seed: of["plain", seed]["found"][name] for seed in seeds}
        cells = [_cell(list(plain.values()))]
        for delta in deltas:
            found = {seed: of[delta, seed]["found"][name] for seed in seeds if (delta, seed) in of}
            cells += [_cell(list(found.values())), _cell([found[seed] - plain[seed] for seed in found], "+")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    asked = [_cell([run["lambda"] for run in runs if run["delta"] == delta]) for delta in deltas]
    lines.append(f"| *largest exponent asked for* | 1 | {' | | '.join(asked)} | |")
    return [*lines, ""]


def _title(delta: str) -> str:
    return "KL warm-up" if delta == "warm-up" else f"lambda, delta {delta}"


def _cell(values: list[float], sign: str = "") -> str:
    values = [value for value in values if not math.isnan(value)]
    if not values:
        return "–"
    mean, spread = fmean(values), stdev(values) if len(values) > 1 else 0.0
    if mean == spread == 0:
        return "0"
    digits = min(4, max(0, 2 - math.floor(math.log10(max(abs(mean), spread, 1e-9)))))
    return f"{mean:{sign}.{digits}f} ± {spread:.{digits}f}"


def _digest(modules: Iterable[nn.Module]) -> str:
    """Of all parameters and buffers that are the host's own."""
    digest = hashlib.sha256()
    for module in modules:
        for name, value in sorted(module.state_dict().items()):
            if isinstance(value, Tensor) and "equalizer" not in name:
                digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _run(host: str, seed: int, delta: str) -> dict[str, Any]:
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)  # torch-geometric's negative edges
    started = time.process_time()
    plain, warm_up = delta in ("plain", "warm-up"), {"warm_up": True} if delta == "warm-up" else {}
    found, modules, equalizer = RUNS[host](seed, None if plain else float(delta), **warm_up)
    seconds = time.process_time() - started
    asked = [1.0] if equalizer is None else [float(of.max()) for of in (equalizer.target_exponent, equalizer.exponent)]
    if asked[-1] != 1:
        raise RuntimeError(f"{host}: lambda was not released: exponents up to {asked[-1]}")
    known = facts()
    packages = [one.split("==")[0] for one in ENVIRONMENTS[host].split() if "==" in one]
    return {
        "host": host,
        "seed": seed,
        "delta": delta,
        "found": {name: float(value) for name, value in found.items()},
        "lambda": asked[0],
        "weights": _digest(modules),
        "seconds": seconds,
        "date": known["date"],
        "commit": known["commit"][:12] + (" with changes not committed" if known["dirty"] else ""),
        "versions": ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", *packages)),
    }


def main() -> None:
    """Train, and write down what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host", choices=list(RUNS))
    parser.add_argument("--environment", action="store_true", help="say what to install, and stop")
    parser.add_argument("--deltas", nargs="+", default=["plain", "inf", "1.1"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("results/hosts-equalized.json"))
    asked = parser.parse_args()
    if asked.environment:
        print("pip install lambda-vae torch==2.13.0", ENVIRONMENTS[asked.host])
        return
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    for seed in range(asked.seeds):
        for delta in asked.deltas:
            one = _run(asked.host, seed, delta)
            runs = json.loads(asked.out.read_text()) if asked.out.is_file() else []
            same = ("host", "seed", "delta")
            runs = [run for run in runs if any(run[key] != one[key] for key in same)]
            write_atomic(asked.out, json.dumps([*runs, one], indent=1) + "\n")
            write_atomic(asked.out.with_suffix(".md"), page([*runs, one]))
            print(one, flush=True)


if __name__ == "__main__":
    main()
