"""A diagnosis of many examples: its peak memory at three lengths of the data, and two processes against one.

The encoder is simulated: 512 dimensions from the few numbers of an example, which is made when it is asked for, so that
what is measured is the diagnosis itself. Every row is a process, or two, of its own. Writes results/streamed.md.

    python benchmarks/streamed.py
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from facts import facts, facts_lines
from lambda_vae.any_vae import diagnose
from lambda_vae.files import write_atomic
from lambda_vae.likelihoods import gaussian

__all__ = ["Made", "apart", "page"]

HERE = Path(__file__).parent
FEATURES, DIMENSIONS, BATCH = 8, 512, 500

#: MiB that the peak may differ by between the shortest and the longest data.
CONSTANT = 32.0


@dataclass(frozen=True)
class Made:
    """Batches of examples, each made from its number."""

    examples: int

    def __iter__(self) -> Iterator[Tensor]:
        frequency = torch.linspace(0.3, 2.9, FEATURES, dtype=torch.float64)
        for start in range(0, self.examples, BATCH):
            number = torch.arange(start, min(start + BATCH, self.examples), dtype=torch.float64)
            yield torch.sin(number[:, None] * frequency).float()


def _measured(examples: int) -> dict[str, Any]:
    chance = torch.Generator().manual_seed(0)
    mix = torch.randn(FEATURES, DIMENSIONS, generator=chance)
    weights = torch.randn(DIMENSIONS, FEATURES, generator=chance) / DIMENSIONS**0.5
    strength = torch.linspace(1.0, 0.0, DIMENSIONS)
    logvar = 2.0 * torch.log1p(-0.9 * strength)

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        mu = strength * torch.sin(x @ mix)
        return mu, logvar + 0.1 * torch.cos(x @ mix)

    group = dist.group.WORLD if dist.is_initialized() else None
    before, cpu, wall = _peak(), time.process_time(), time.perf_counter()
    report = diagnose(encode, gaussian(lambda z: z @ weights, std=0.5), Made(examples), process_group=group)
    return {
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        "loaded": before,
        "peak": _peak(),
        "report": report.to_dict(),
    }


def _peak() -> float:
    """MiB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _run(examples: int, processes: int) -> list[dict[str, Any]]:
    """What each process of a diagnosis found."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(HERE / "streamed.py"), "--one", str(examples), "--meet", f"{folder}/meet"]
        started = [
            subprocess.Popen(
                [*command, "--rank", str(rank), "--world", str(processes)],
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
            )
            for rank in range(processes)
        ]
        said = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise SystemExit("a process broke off")
    return [json.loads(one.splitlines()[-1]) for one in said]


def apart(one: Any, other: Any) -> float:
    """Return the largest difference of two records, relative to the largest number of its list."""
    if isinstance(one, dict):
        return max((apart(one[name], other[name]) for name in one), default=0.0)
    if isinstance(one, list) and one and isinstance(one[0], int | float):
        a, b = (torch.tensor(side, dtype=torch.float64).nan_to_num() for side in (one, other))
        return float((a - b).abs().max() / a.abs().max().clamp(min=1e-3))
    if isinstance(one, float):
        return apart([one], [other])
    return 0.0 if one == other else float("inf")


def page(lengths: list[int], pair: int) -> str:
    """Return the page, Markdown.

    Args:
        lengths: Examples of each row.
        pair: Of the comparison of two processes with one.
    """
    rows, peaks = [], []
    for examples in lengths:
        (found,) = _run(examples, 1)
        peaks.append(found["peak"])
        rows.append(
            f"| {examples:,} | {found['cpu']:.1f} | {1e6 * found['cpu'] / examples:.0f} | {found['peak']:.0f} | "
            f"{found['peak'] - found['loaded']:.0f} |"
        )
        print(rows[-1], flush=True)
    (alone,), two = _run(pair, 1), _run(pair, 2)
    differ = max(apart(alone["report"], one["report"]) for one in two)
    grown = max(peaks) - min(peaks)
    slowest, busiest = max(one["wall"] for one in two), max(one["cpu"] for one in two)
    return "\n".join(
        [
            "# A diagnosis of many examples",
            "",
            *facts_lines(facts(), "two"),
            "",
            f"{DIMENSIONS} latent dimensions of a simulated encoder, {FEATURES} numbers an example, made when they are "
            f"asked for, {BATCH} at a time; default options. Peak memory is the process's, and above what it held "
            "before the diagnosis.",
            "",
            "| examples | CPU time, s | µs an example | peak, MiB | above loading, MiB |",
            "| ---: | ---: | ---: | ---: | ---: |",
            *rows,
            "",
            f"- Peaks differ by at most {CONSTANT:.0f} MiB: **{'met' if grown <= CONSTANT else 'not met'}** "
            f"({grown:.0f} MiB; the codes of the longest would take {4 * DIMENSIONS * max(lengths) / 2**20:,.0f}).",
            "",
            f"| {pair:,} examples | wall clock, s | CPU time of a process, s | peak of a process, MiB |",
            "| --- | ---: | ---: | ---: |",
            f"| one process | {alone['wall']:.1f} | {alone['cpu']:.1f} | {alone['peak']:.0f} |",
            f"| two processes | {slowest:.1f} | {busiest:.1f} | {max(one['peak'] for one in two):.0f} |",
            "",
            f"- Two processes take {slowest / alone['wall']:.2f} of the time of one by the clock, and "
            f"{busiest / alone['cpu']:.2f} of its CPU time each.",
            f"- The two reports differ by at most 1e-6 of the largest number of its kind: "
            f"**{'met' if differ <= 1e-6 else 'not met'}** ({differ:.1g}).",
            "",
            "```text",
            _text(alone),
            "```",
            "",
        ]
    )


def _text(found: dict[str, Any]) -> str:
    report = found["report"]
    names = ("examples", "nll_bound", "nll_bound_stderr", "active_units")
    return "\n".join(f"{name} {report[name]:.6g}" for name in names if name in report)


def main() -> None:
    """Measure and write the page; or, with --one, be a process that is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[50_000, 200_000, 1_000_000])
    parser.add_argument("--pair", type=int, default=200_000, help="examples of the comparison with two processes")
    parser.add_argument("--out", type=Path, default=HERE.parent / "results" / "streamed.md")
    for hidden in ("--one", "--rank", "--world"):
        parser.add_argument(hidden, type=int, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--meet", default=None, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one is None:
        text = page(asked.lengths, asked.pair)
        write_atomic(asked.out, text)
        print(text)
        return
    torch.set_num_threads(1)
    if asked.world > 1:
        dist.init_process_group("gloo", init_method=f"file://{asked.meet}", rank=asked.rank, world_size=asked.world)
    print(json.dumps(_measured(asked.one)))
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
