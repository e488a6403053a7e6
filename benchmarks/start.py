"""What commands cost that need no tensors: CPU seconds of a fresh process, beside that of importing torch alone.

Writes results/start.md.
"""

import argparse
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from facts import facts, facts_lines
from lambda_vae.files import write_atomic
from single_core import on_one_core

__all__ = ["page"]

COMMANDS = {
    "`lambda-vae list`": ["-m", "lambda_vae.cli", "list"],
    "`lambda-vae --help`": ["-m", "lambda_vae.cli", "--help"],
    "`lambda-vae train --help`": ["-m", "lambda_vae.cli", "train", "--help"],
    "`import torch`": ["-c", "import torch"],
}


def seconds(words: list[str]) -> float:
    """Return the CPU seconds of a process of this interpreter.

    Args:
        words: Its arguments.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def page(rounds: int) -> str:
    """Return the page, Markdown.

    Args:
        rounds: Turns of all, after one to warm the disk's cache.
    """
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(rounds + 1):
        for name, words in COMMANDS.items():
            spent = seconds(words)
            if number:
                times[name].append(spent)
    head = ["# What a command costs before it begins", "", *facts_lines(facts()), ""]
    head += [f"CPU seconds of a fresh process, {rounds} rounds of all in turn after one to warm up.", ""]
    rows = ["| command | median, s | least, s |", "| --- | ---: | ---: |"]
    rows += [f"| {name} | {statistics.median(spent):.2f} | {min(spent):.2f} |" for name, spent in times.items()]
    return "\n".join([*head, *rows]) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("results"))
    chosen = parser.parse_args()
    on_one_core()
    text = page(chosen.rounds)
    write_atomic(chosen.out / "start.md", text)
    print(text)
