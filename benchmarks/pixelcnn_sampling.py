"""Cached PixelCNN sampling beside the naive ways, in one process: seconds for a batch of images, and the ratios.

Plain: the whole network for every pixel. Row-cropped: only the rows down to the pixel. Both are timed at some pixels
spread over the image and extrapolated to all. Writes results/pixelcnn-sampling.md.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from facts import facts, facts_lines
from lambda_vae.distributions import Bernoulli
from lambda_vae.files import write_atomic
from lambda_vae.networks import ImageShape, PixelCNN, PixelCNNSizes, decode_pixels
from single_core import on_one_core

__all__ = ["page"]


def _seconds(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


class _Contest:
    """One network with the context of a batch, and the ways to sample from it."""

    def __init__(self, shape: ImageShape, sizes: PixelCNNSizes, count: int, maps: int) -> None:
        self.shape, self.count = shape, count
        self.generator = torch.Generator().manual_seed(0)
        self.network = PixelCNN(shape, sizes, maps, rows=False)
        self.context = torch.randn(count, sizes.width, *shape.halved(2)[-1], generator=self.generator)
        self.x = torch.rand(count, shape.features, generator=self.generator)

    def pick(self, theta: Tensor) -> Tensor:
        return Bernoulli(theta[:, : self.shape.channels]).sample(self.generator)

    def cached(self) -> float:
        return _seconds(lambda: decode_pixels(self.network, self.context, self.pick))

    def naive(self, pixels: int, *, cropped: bool) -> float:
        """Seconds for all pixels, from some; a pixel of row i costs the same in every column."""
        spread = [int((n + 0.5) * self.shape.height / pixels) for n in range(pixels)]
        each = [self._pixel(i + 1 if cropped else self.shape.height) for i in spread]
        return statistics.fmean(each) * self.shape.height * self.shape.width

    def _pixel(self, height: int) -> float:
        self.network.shape = ImageShape(self.shape.channels, height, self.shape.width)
        x = self.x[:, : self.network.shape.features]
        seconds = _seconds(lambda: self.pick(self.network(x, self.context)[:, :, -1, -1]))
        self.network.shape = self.shape
        return seconds


@torch.no_grad()
def page(counts: list[int], pixels: int, rounds: int) -> str:
    """Return a Markdown table, one row a batch size.

    Args:
        counts: Images at a time.
        pixels: At which the naive ways are timed.
        rounds: Of all three in turn.
    """
    shape, sizes, maps = ImageShape(3, 32, 32), PixelCNNSizes(), 100
    rows = []
    for count in counts:
        contest = _Contest(shape, sizes, count, maps)
        contest.cached()
        found = [
            (contest.cached(), contest.naive(pixels, cropped=False), contest.naive(pixels, cropped=True))
            for _ in range(rounds)
        ]
        cached, plain, cropped = (statistics.median(column) for column in zip(*found, strict=True))
        ratios = [statistics.median(other / own for own, other in zip(*pair, strict=True)) for pair in (
            ([f[0] for f in found], [f[1] for f in found]), ([f[0] for f in found], [f[2] for f in found]),
        )]  # fmt: skip
        rows.append(f"| {count} | {cached:.3f} | {plain:.0f} | {cropped:.0f} | {ratios[0]:.0f} | {ratios[1]:.0f} |")
        print(rows[-1], flush=True)
    said = (
        f"Images of 32x32x3, {sizes.layers} gated layers of {sizes.width} channels, {maps} numbers of theta a pixel, "
        "untrained weights, one thread; CPU seconds for the whole batch, medians; ratios within a round. "
        f"Rounds: {rounds}. The naive ways are extrapolated from {pixels} pixels of each kind in each round, spread "
        "over the rows. That cached and naive sampling give the same image is shown by "
        "tests/networks/test_cached_sampling.py."
    )
    head = "| images | cached | plain | row-cropped | plain / cached | row-cropped / cached |"
    line = "| ---: | ---: | ---: | ---: | ---: | ---: |"
    return "\n".join(["# Sampling from a PixelCNN", "", *facts_lines(facts()), "", said, "", head, line, *rows]) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--pixels", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("results"))
    chosen = parser.parse_args()
    on_one_core()
    text = page(chosen.images, chosen.pixels, chosen.rounds)
    write_atomic(chosen.out / "pixelcnn-sampling.md", text)
    print(text)
