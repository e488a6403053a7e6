"""Noise that belongs to an example, so that no estimate depends on how many are measured at a time."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.rng import normal

__all__ = ["ExampleNoise", "SampleNoise", "spawned"]

#: Examples whose noise is drawn at once: a generator's numbers depend on how many are asked for.
_BLOCK = 64

#: Numbers of noise for one example that are drawn at once.
_NUMBERS = 2**16


def spawned(generator: torch.Generator | None, device: torch.device) -> torch.Generator:
    """Return a generator with a stream of its own, seeded by the next number of another one, on the same device."""
    source = generator.device if generator is not None else device
    seed = int(torch.randint(2**62, (), generator=generator, device=source))
    return torch.Generator(source).manual_seed(seed)


class ExampleNoise:
    """Standard normal rows for one example after another.

    Args:
        generator: The source of chance; nothing else may draw from it.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self._left: Tensor | None = None

    def rows(self, count: int, width: int, device: torch.device) -> Float[Tensor, "count width"]:
        """Return the noise of the next examples, float32."""
        parts, missing = [], count
        while missing:
            if self._left is None or not len(self._left):
                self._left = normal((_BLOCK, width), self.generator, device)
            parts.append(self._left[:missing])
            self._left = self._left[len(parts[-1]) :]
            missing -= len(parts[-1])
        return torch.cat(parts) if parts else normal((0, width), self.generator, device)

    def skip(self, count: int, width: int, device: torch.device) -> None:
        """Leave out the noise of the next examples; it is drawn, for a generator cannot jump, and dropped."""
        while count:
            count -= len(self.rows(min(count, _BLOCK), width, device))


class SampleNoise:
    """Standard normal noise of K draws for one example after another.

    Args:
        generator: The source of chance.
        samples: K.
    """

    def __init__(self, generator: torch.Generator, samples: int) -> None:
        self.generator, self.samples = generator, samples
        self._parts: list[ExampleNoise] = []

    def parts(self, count: int, width: int, device: torch.device, most: int) -> Iterator[Float[Tensor, "k B width"]]:
        """Yield the noise of the next examples, at most so many draws of each at a time."""
        together = max(1, min(self.samples, _NUMBERS // max(width, 1)))
        starts = range(0, self.samples, together)
        self._parts = self._parts or [ExampleNoise(spawned(self.generator, device)) for _ in starts]
        for start, noise in zip(starts, self._parts, strict=True):
            draws = min(together, self.samples - start)
            rows = noise.rows(count, draws * width, device).view(count, draws, width)
            yield from torch.split(rows.transpose(0, 1), most)

    def skip(self, count: int, width: int, device: torch.device) -> None:
        """Leave out the noise of the next examples."""
        if self.samples:
            for _ in self.parts(count, width, device, self.samples):
                pass
