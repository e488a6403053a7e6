"""The one door for chance: noise from the caller's generator, wherever it lives."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["normal"]


def normal(
    shape: Sequence[int], generator: torch.Generator | None, device: torch.device, *, uniform: bool = False
) -> Tensor:
    """Return standard normal noise, float32, on `device`, drawn where the generator is.

    Args:
        shape: Of the noise.
        generator: The source of chance; None is torch's global one.
        device: Where it is needed.
        uniform: Uniform on [0, 1) instead.
    """
    source = generator.device if generator is not None else device
    draw = torch.rand if uniform else torch.randn
    noise: Tensor = draw(tuple(shape), generator=generator, device=source)
    return noise.to(device)
