"""Memory of training on data that lies on disk: N examples and 4N, each in a process of its own.

What counts is anonymous memory, which only this process can give back. The pages of the memory-mapped file are counted
apart: the system drops them whenever it needs the room, so data larger than memory trains too. Writes
results/memory.md and results/memory.json.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np

from facts import facts, facts_lines
from lambda_vae.files import write_atomic, write_json

__all__ = ["measure"]

HERE = Path(__file__).parent
FEATURES, CHUNK = 784, 10_000


def write_data(path: Path, n: int) -> None:
    """Write n synthetic images as a .npy, a chunk at a time.

    Args:
        path: The file.
        n: How many.
    """
    random = np.random.default_rng(0)
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(n, 28, 28))
    for start in range(0, n, CHUNK):
        rows = array[start : start + CHUNK]
        rows[:] = random.integers(0, 256, rows.shape, dtype=np.uint8)
    array.flush()


class Peak(threading.Thread):
    """Watches this process's own memory, in MiB: anonymous, and pages of files."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.anonymous, self.files = 0.0, 0.0
        self._ended = threading.Event()

    def run(self) -> None:
        """Look every 10 ms until told to end."""
        while not self._ended.wait(0.01):
            lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
            kib = {words[0]: int(words[1]) for words in lines if words and words[0].startswith("Rss")}
            self.anonymous = max(self.anonymous, kib["RssAnon:"] / 1024)
            self.files = max(self.files, kib["RssFile:"] / 1024)

    def end(self) -> dict[str, float]:
        """Stop watching; the peaks."""
        self._ended.set()
        self.join()
        whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"anonymous": self.anonymous, "files": self.files, "whole": whole}


def train_once(path: Path, cache: Path) -> None:
    """Prepare the data, train an epoch, and print the peaks as JSON; runs in a process of its own.

    Args:
        path: The images.
        cache: Where the prepared data goes.
    """
    import torch

    from lambda_vae.data import load
    from lambda_vae.runs import MLP, Run, RunConfig
    from lambda_vae.runs._train import make_trainer
    from lambda_vae.training import TrainOptions

    torch.set_num_threads(1)
    # Small networks: the memory that could grow is that of the data.
    numbers = TrainOptions(epochs=1, batch_size=500)
    config = RunConfig(data=str(path), network=MLP((64,)), latent_dim=8, train=numbers)
    trainer_peak = Peak()
    trainer_peak.start()
    dataset = load(config.data, cache=cache)
    make_trainer(Run.resolve(config, dataset)).fit()
    print(json.dumps({"examples": len(dataset.train) + len(dataset.test), **trainer_peak.end()}))


def measure(n: int) -> dict[str, float]:
    """Return the number of examples and the peaks in MiB of preparing and training on n images.

    Args:
        n: How many.
    """
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        path = Path(folder) / "images.npy"
        write_data(path, n)
        command = [sys.executable, str(HERE / "memory.py"), "--train", str(path)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        values: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return {"file": path.stat().st_size / 2**20, **values}


def page(record: dict[str, Any]) -> str:
    """Return the results page, Markdown.

    Args:
        record: What memory.json holds.
    """
    small, large = record["rows"]
    growth = large["anonymous"] - small["anonymous"]
    data = large["file"] - small["file"]
    order = 8 * (large["examples"] - small["examples"]) / 2**20
    lines = ["# Memory of training on a memory-mapped data set", "", *facts_lines(record), ""]
    lines += [
        "Preparing, then one epoch of λ-VAE with small networks; peaks in MiB. Anonymous memory is what the process "
        "holds on to; pages of files are the mapped data (and libraries), which the system drops when it needs room.",
        "",
        "| images | file | anonymous | pages of files | peak of both together |",
        "| --- | --- | --- | --- | --- |",
    ]
    for one in record["rows"]:
        sizes = " | ".join(f"{one[name]:.0f}" for name in ("file", "anonymous", "files", "whole"))
        lines.append(f"| {one['examples']:,} | {sizes} |")
    lines += [
        "",
        f"The data grew by {data:.0f} MiB and the anonymous peak by {growth:.1f} MiB ({100 * growth / data:.1f}%), of "
        f"which the order of an epoch (8 bytes an example) takes {order:.1f} MiB.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure N and 4N, print, write both files; or, with --train, be the process that is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=100_000, help="N; 4N images take 4N x 784 bytes of disk, twice")
    parser.add_argument("--out", type=Path, default=HERE.parent / "results", help="folder for the two files")
    parser.add_argument("--train", type=Path, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train is not None:
        train_once(options.train, options.train.parent / "cache")
        return
    if not Path("/proc/self/status").is_file():
        print("benchmarks/memory.py needs Linux's /proc to tell a process's own memory from mapped files; left out")
        return
    record = {**facts(), "rows": [measure(options.n), measure(4 * options.n)]}
    write_json(options.out / "memory.json", record)
    write_atomic(options.out / "memory.md", page(record))
    print(page(record))


if __name__ == "__main__":
    main()
