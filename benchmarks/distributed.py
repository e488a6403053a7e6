"""Two CPU processes training one run together, beside two independent runs, each by itself on a core.

Both pairs of processes take turns, an epoch each. Start-up is left out; the end of an epoch, where λ and the records
are gathered, is not. Ratios are taken within a round. Writes results/distributed.md.
"""

import argparse
import os
from pathlib import Path
from statistics import median
from typing import Any

from facts import facts, facts_lines
from lambda_vae.files import write_atomic
from lambda_vae.paper.tables import TABLES
from process_group import Group

__all__ = ["page", "tasks"]

GOAL = 0.9
_TABLE = TABLES["table2"]


def tasks() -> dict[str, dict[str, Any]]:
    """Return what is trained, by its name on the page."""
    images: dict[str, Any] = {**_TABLE.settings, **(_TABLE.scales["cpu"].settings or {}), "method": "lambda-vae"}
    images |= {"scale_learning_rate": False}
    mlp = {
        f"MLP of MNIST, batch {size} a process": {
            "settings": {"method": "lambda-vae", "batch_size": size}, "shape": (28, 28, 1), "steps": steps
        }
        for size, steps in ((50, 200), (100, 150))
    }  # fmt: skip
    name = f"ResNet of Table 2 at the scale `cpu`, batch {images['batch_size']} a process"
    return {**mlp, name: {"settings": images, "shape": (32, 32, 3), "steps": 8}}


def _images_a_second(turn: list[dict[str, float]], batch_size: int) -> float:
    return sum(batch_size / process["wall"] for process in turn)


def _measure(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Images a second of each pair in each round, by task and pair; one round more to warm up."""
    speeds: dict[str, dict[str, list[float]]] = {}
    with Group(2) as apart, Group(2, together=True) as together:
        pairs = {"apart": apart, "together": together}
        for name, task in tasks().items():
            speeds[name] = {pair: [] for pair in pairs}
            for turn in range(rounds + 1):
                for pair, group in pairs.items():
                    speed = _images_a_second(group.epoch(task), task["settings"]["batch_size"])
                    if turn:
                        speeds[name][pair].append(speed)
            ratios = [f"{a / b:.3f}" for a, b in zip(speeds[name]["together"], speeds[name]["apart"], strict=True)]
            print(f"{name}: {' '.join(ratios)}", flush=True)
    return speeds


def page(rounds: int) -> str:
    """Return the results page, Markdown.

    Args:
        rounds: Epochs of each pair, after one to warm up.
    """
    rows, said = [], []
    for name, speeds in _measure(rounds).items():
        own = [one / alone for one, alone in zip(speeds["together"], speeds["apart"], strict=True)]
        cells = [name, f"{median(speeds['apart']):,.0f}", f"{median(speeds['together']):,.0f}"]
        cells += [f"{median(own):.0%}", f"{min(own):.0%} to {max(own):.0%}"]
        rows.append(f"| {' | '.join(cells)} |")
        said.append(f"- {name}: at least {GOAL:.0%}: **{'met' if median(own) >= GOAL else 'not met'}**.")
    return "\n".join(
        [
            "# Two processes together, and two apart",
            "",
            *facts_lines(facts(), "two"),
            "",
            f"λ-VAE on noise of the data's shape, {rounds} rounds of an epoch each after one to warm up, wall clock. "
            "Medians; ratios within a round, two apart being 100%. Gradients go "
            "round by DistributedDataParallel over gloo.",
            "",
            "| | images/s apart | images/s together | together | least to most |",
            "| --- | ---: | ---: | ---: | ---: |",
            *rows,
            "",
            *said,
            "",
        ]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("results"))
    chosen = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("benchmarks/distributed.py needs two cores; left out")
    text = page(chosen.rounds)
    write_atomic(chosen.out / "distributed.md", text)
    print(text)
