"""Batches as slices of one permutation: any process can start at any step of any epoch."""

from collections.abc import Iterator
from hashlib import sha256

import torch
from jaxtyping import Int64
from torch import Tensor

from lambda_vae.data.checks import check_batch
from lambda_vae.errors import InputError

__all__ = ["batches", "epoch_order", "steps_per_epoch"]


def epoch_order(n: int, seed: int, epoch: int) -> Int64[Tensor, " n"]:
    """The order in which one epoch visits the data: a permutation that depends on nothing but its three arguments.

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
    digest = sha256(f"lambda-vae order {seed} {epoch}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    return torch.randperm(n, generator=generator)


def steps_per_epoch(n: int, batch_size: int, *, world: int = 1, drop_last: bool = False) -> int:
    """Number of steps `batches` gives from `start=0`.

    Args:
        n: Number of examples.
        batch_size: Examples a step on each process.
        world: Number of processes.
        drop_last: As for `batches`.

    Returns:
        The count; the same on every process.

    Raises:
        InputError: `batch_size` is below 1, or a step needs more examples than there are.
    """
    total = batch_size * world
    if batch_size < 1 or world < 1:
        raise InputError(f"batch size is {batch_size} on {world} processes; both must be at least 1")
    check_batch(n, total)
    whole, rest = divmod(n, total)
    return whole + int(not drop_last and rest >= world)


def batches(
    order: Int64[Tensor, " n"],
    batch_size: int,
    *,
    start: int = 0,
    rank: int = 0,
    world: int = 1,
    drop_last: bool = False,
) -> Iterator[Int64[Tensor, " B"]]:
    """The index batches of one process in one epoch, from step `start` on; cut the data with `index_select`.

    A step takes `world * batch_size` consecutive entries of `order`, a `batch_size` slice for each process. The last,
    partial step is kept and dealt out in shares that differ by at most one; only if it has fewer entries than there are
    processes is it left out.

    Args:
        order: From `epoch_order`, the same on every process.
        batch_size: Examples a step on each process.
        start: First step to give; resuming after k steps takes `start=k`.
        rank: This process.
        world: Number of processes.
        drop_last: Leave a partial last step out.

    Yields:
        Views of `order`, int64.

    Raises:
        InputError: As `steps_per_epoch`; or `rank` is not below `world`.

    Example:
        >>> [batch.tolist() for batch in batches(torch.arange(5), 2)]
        [[0, 1], [2, 3], [4]]
    """
    steps = steps_per_epoch(len(order), batch_size, world=world, drop_last=drop_last)
    if not 0 <= rank < world:
        raise InputError(f"rank is {rank} of {world} processes; it must be from 0 to {world - 1}")
    total = batch_size * world
    return (order[step * total : (step + 1) * total].tensor_split(world)[rank] for step in range(start, steps))
