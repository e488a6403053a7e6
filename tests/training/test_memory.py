"""A memory map is read batch by batch: what the process holds does not grow with the length of the data."""

import gc
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from small import FEATURES, trainer
from torch import Tensor

from lambda_vae.training import Interrupted

STATUS = Path("/proc/self/status")

pytestmark = pytest.mark.skipif(
    not (STATUS.exists() and "RssAnon" in STATUS.read_text()), reason="the system does not tell RssAnon"
)


def anonymous_bytes() -> int:
    """Memory of this process that is no file's: pages of a mapped file do not count, a copy of them does."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon"))
    return 1024 * int(line.split()[1])


WIDTH = 4096


def growth(path: Path, examples: int, *, copy: bool = False) -> int:
    """How much the process grows over 20 steps, read from all parts of a file of so many rows."""
    # Sparse: the file takes no room on the disk.
    array = np.memmap(path, dtype=np.uint8, mode="w+", shape=(examples, WIDTH))
    x = torch.from_numpy(array)
    peak, steps = 0, iter(range(10**9))

    def view(rows: Tensor, index: Tensor, generator: torch.Generator) -> Tensor:
        nonlocal peak
        peak = max(peak, anonymous_bytes())
        if next(steps) == 20:
            signal.raise_signal(signal.SIGTERM)
        return (rows[:, :FEATURES] > 127).float()

    gc.collect()
    before = anonymous_bytes()
    with pytest.raises(Interrupted):
        trainer(x=x.clone() if copy else x, view=view, epochs=1).fit()
    return peak - before


def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    growth(tmp_path / "first", 1_000)  # whatever is allocated once
    small, large = growth(tmp_path / "small", 1_000), growth(tmp_path / "large", 50_000)
    difference = 49_000 * WIDTH
    assert large - small < difference / 20  # the order of the examples takes 8 bytes each, and nothing else grows
    copied = growth(tmp_path / "copied", 50_000, copy=True)
    assert copied - small > difference / 2  # the control: a copy is seen
