"""Random numbers: generators by what they are for, and noise from the caller's generator, wherever it lives."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

__all__ = ["ADVERSARY_SEED", "METHOD_SEED", "generator_for", "global_seed", "normal"]

#: Added to a run's seed, which is below 2^32, for what only some methods draw, and for the weights of a discriminator:
#: so that all methods share the rest.
METHOD_SEED, ADVERSARY_SEED = 2**32, 2**33


def generator_for(purpose: str) -> torch.Generator:
    """Return a generator on the CPU whose stream no other purpose shares.

    Args:
        purpose: What is drawn, with the seed in it.

    Example:
        >>> a, b = (generator_for(f"demo {part} 0").initial_seed() for part in ("x", "z"))
        >>> a == b
        False
    """
    digest = hashlib.sha256(purpose.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Seed torch's global generator on the CPU for the weights of new layers, and put it back as it was.

    Args:
        seed: Of the weights.

    Example:
        >>> with global_seed(0):
        ...     first = torch.nn.Linear(1, 1).weight
        >>> with global_seed(0):
        ...     print(bool(torch.nn.Linear(1, 1).weight == first))
        True
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def normal(
    shape: Sequence[int], generator: torch.Generator | None, device: torch.device, *, uniform: bool = False
) -> Tensor:
    """Return standard normal noise, float32, on `device`, drawn where the generator is.

    Args:
        shape: Of the noise.
        generator: Of the random numbers; None is torch's global one.
        device: Where it is needed.
        uniform: Uniform on [0, 1) instead.
    """
    source = generator.device if generator is not None else device
    draw = torch.rand if uniform else torch.randn
    noise: Tensor = draw(tuple(shape), generator=generator, device=source)
    return noise.to(device)
