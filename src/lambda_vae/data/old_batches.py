"""Functions of the last release that nothing here calls; they go with the next one."""

from collections.abc import Iterator

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from lambda_vae.data._binarise import view_test
from lambda_vae.data.checks import check_batch
from lambda_vae.data.dataset import Split
from lambda_vae.errors import InputError

__all__ = ["batches", "fixed_test_view", "steps_per_epoch"]


def steps_per_epoch(n: int, batch_size: int, *, world: int = 1, drop_last: bool = False) -> int:
    """Return the number of steps that `batches` gives from its first.

    Args:
        n: Number of examples.
        batch_size: Examples a step on each process.
        world: Number of processes.
        drop_last: Leave a partial last step out.

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
    """Yield the index batches of one process in one epoch; the last, partial step is dealt out as evenly as it goes.

    Args:
        order: From `epoch_order`, the same on every process.
        batch_size: Examples a step on each process.
        start: First step to give.
        rank: This process.
        world: Number of processes.
        drop_last: Leave a partial last step out.

    Raises:
        InputError: As `steps_per_epoch`; or `rank` is not below `world`.
    """
    steps = steps_per_epoch(len(order), batch_size, world=world, drop_last=drop_last)
    if not 0 <= rank < world:
        raise InputError(f"rank is {rank} of {world} processes; it must be from 0 to {world - 1}")
    total = batch_size * world
    return (order[step * total : (step + 1) * total].tensor_split(world)[rank] for step in range(start, steps))


def fixed_test_view(
    split: Split, binarisation: str, *, start: int = 0, stop: int | None = None, seed: int = 0
) -> Shaped[Tensor, "B F"]:
    """Return rows of the test part as the model is shown them, float32 on the CPU: the same rows whatever the cut.

    Args:
        split: The test part.
        binarisation: One of `BINARISATIONS`.
        start: First row.
        stop: One past the last row; the end if None.
        seed: Of the one draw.
    """
    rows = split.tensor()
    index = torch.arange(len(rows))[start:stop]
    return view_test(rows.index_select(0, index), index, binarisation, seed)
