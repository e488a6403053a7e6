"""What a training step of every method costs beside the plain VAE's, on the same network and data, in one process.

The methods take turns, some steps each, for as many rounds as asked; ratios are taken within a round. Writes
results/methods.md.
"""

import argparse
import statistics
from pathlib import Path

from facts import facts, facts_lines
from lambda_vae.data import load
from lambda_vae.files import write_atomic
from lambda_vae.runs import METHODS, RunConfig
from lambda_vae.runs.step_cost import TimedRun
from single_core import on_one_core

__all__ = ["page"]

_NOTES = {
    "lagging": "its steps after the aggressive phase; before, up to `aggressive_steps` of the encoder come with each",
    "iwae": "50 samples for each example",
}


def page(steps: int, rounds: int) -> str:
    """Return a Markdown table of all methods.

    Args:
        steps: Of a turn.
        rounds: Turns of each method, after one to warm up.
    """
    mnist = load("mnist")
    timed = {name: TimedRun(RunConfig(data="mnist", method=METHODS[name]), mnist, steps) for name in METHODS}
    times: dict[str, list[float]] = {name: [] for name in timed}
    for turn in range(rounds + 1):
        for name, contender in timed.items():
            seconds = contender.turn()
            if turn:
                times[name].append(seconds)
        print(f"round {turn} of {rounds}", flush=True)
    rows = []
    for name, values in times.items():
        ratios = [value / plain for value, plain in zip(values, times["vae"], strict=True)]
        note = _NOTES.get(name) or METHODS[name].cost
        spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
        own = f"{1e3 * statistics.median(values):.2f} | {statistics.median(ratios):.2f}"
        rows.append(f"| `{name}` | {own} | {spread} | {note} |")
    head = "| method | CPU, ms a step | beside the plain VAE | least to most | what it does more |"
    line = "| --- | ---: | ---: | ---: | --- |"
    said = f"MNIST, batch 100, {steps} steps a turn, {rounds} rounds; medians, ratios within a round."
    return (
        "\n".join(["# What a step of every method costs", "", *facts_lines(facts()), "", said, "", head, line, *rows])
        + "\n"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("results"))
    chosen = parser.parse_args()
    on_one_core()
    text = page(chosen.steps, chosen.rounds)
    write_atomic(chosen.out / "methods.md", text)
    print(text)
