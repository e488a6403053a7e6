"""Random numbers: generators by what they are for, and noise from the caller's generator, wherever it lives."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["generator_for", "normal"]


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
