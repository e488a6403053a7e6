"""Whether reduced precision changes the result: the same runs in each precision, their nll_bound side by side.

Writes results/precision.md.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from facts import facts, facts_lines
from lambda_vae.files import write_atomic
from lambda_vae.runs import train
from lambda_vae.runs.flat import from_flat

__all__ = ["page"]

SETTINGS = {
    'float32, matmul "highest"': {"matmul": "highest"},
    "float32, matmul auto": {},
    "bfloat16": {"precision": "bfloat16"},
    "precision auto": {"precision": "auto"},
}


def page(data: str, method: str, epochs: int, seeds: int) -> str:
    """Return a Markdown page: nll_bound in nats, mean and spread over seeds, and the change seed by seed.

    Args:
        data: Name of the data set.
        method: Name of the method.
        epochs: Of each run.
        seeds: How many.
    """
    bounds: dict[str, list[float]] = {}
    for name, words in SETTINGS.items():
        for seed in range(seeds):
            shared = {"data": data, "method": method, "delta": 1.19, "epochs": epochs, "seed": seed, "iw_samples": 16}
            config = from_flat({**shared, "evaluate_every": 0, "trackers": (), **words})
            with tempfile.TemporaryDirectory() as folder:
                bounds.setdefault(name, []).append(train(config, Path(folder) / "run")["nll_bound"])
    rows = []
    for name, values in bounds.items():
        change = [value - plain for value, plain in zip(values, bounds['float32, matmul "highest"'], strict=True)]
        rows.append(
            f"| {name} | {statistics.fmean(values):.3f} ± {statistics.stdev(values):.3f} | "
            f"{statistics.fmean(change):+.3f} | {min(change):+.3f} to {max(change):+.3f} |"
        )
    head = "| precision | `nll_bound`, nats | change, mean | change, seed by seed |\n| --- | ---: | ---: | ---: |"
    return "\n".join(["# Precision and the result", "", *facts_lines(facts()), "", head, *rows]) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--method", default="vae")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("results"))
    chosen = parser.parse_args()
    text = page(chosen.data, chosen.method, chosen.epochs, chosen.seeds)
    write_atomic(chosen.out / "precision.md", text)
    print(text)
