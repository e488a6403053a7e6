"""The order of the examples in an epoch: any process can start at any step of any epoch."""

import torch
from jaxtyping import Int64
from torch import Tensor

from lambda_vae.rng import generator_for

__all__ = ["epoch_order"]


def epoch_order(n: int, seed: int, epoch: int) -> Int64[Tensor, " n"]:
    """The order of the examples in one epoch: a permutation that depends on nothing but the three arguments.

    Args:
        n: Number of examples.
        seed: The run's seed.
        epoch: Number of the epoch.

    Returns:
        Each of 0..n-1 once, int64, on the CPU (8 bytes an example: the one thing that grows with the data).

    Example:
        >>> sorted(epoch_order(4, seed=0, epoch=1).tolist())
        [0, 1, 2, 3]
    """
    return torch.randperm(n, generator=generator_for(f"lambda-vae order {seed} {epoch}"))
