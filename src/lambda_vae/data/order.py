"""The order of the examples in an epoch, from seed and epoch alone: any process can start at any step of any epoch."""

import torch
from jaxtyping import Int64
from torch import Tensor

from lambda_vae.rng import generator_for

__all__ = ["by_length", "epoch_order", "in_buckets"]

#: Batches that are sorted together: among so many sequences most lengths occur often, and an epoch has many such pools.
_POOL = 50


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


def in_buckets(
    order: Int64[Tensor, " n"], lengths: Int64[Tensor, " n"], batch: int, seed: int, epoch: int
) -> Int64[Tensor, " n"]:
    """The order of an epoch, changed so that each batch holds sequences of about one length.

    Pools of 50 batches, as they come in `order`, are sorted by length and cut into batches, and the batches of all
    pools are shuffled. An example keeps its pool, so that what is seen together changes from epoch to epoch.

    Args:
        order: Of whole batches.
        lengths: Of the sequences, in that order.
        batch: Examples of a batch, on all processes together; divides n.
        seed: The run's seed.
        epoch: Number of the epoch.

    Returns:
        The same examples, batch by batch.

    Example:
        >>> order, lengths = torch.arange(6), torch.tensor([9, 2, 8, 1, 9, 2])
        >>> sorted(map(sorted, in_buckets(order, lengths, 2, seed=0, epoch=0).view(-1, 2).tolist()))
        [[0, 4], [1, 3], [2, 5]]
    """
    pool = torch.arange(len(order), device=order.device) // (_POOL * batch)
    # Stable: sequences of one length stay in the shuffled order.
    sorted_order = order[torch.argsort(pool * (1 + int(lengths.max())) + lengths, stable=True)]
    batches = torch.randperm(len(order) // batch, generator=generator_for(f"lambda-vae batches {seed} {epoch}"))
    return sorted_order.view(-1, batch)[batches.to(order.device)].flatten()


def by_length(index: Int64[Tensor, " n"], lengths: Int64[Tensor, " n"], batch: int) -> tuple[Tensor, ...]:
    """All examples in batches of about one length, for who measures; the batches come in no order of length.

    Whoever looks at the first batches alone sees short and long sequences.

    Args:
        index: Of the sequences.
        lengths: Theirs.
        batch: Examples of a batch; the one with the longest sequences may have fewer.

    Example:
        >>> found = by_length(torch.arange(5), torch.tensor([9, 2, 8, 1, 9]), 2)
        >>> sorted(map(torch.Tensor.tolist, found))
        [[2, 0], [3, 1], [4]]
    """
    batches = torch.split(index[torch.argsort(lengths, stable=True)], batch)
    order = torch.randperm(len(batches), generator=generator_for(f"lambda-vae measured {len(batches)}"))
    return tuple(batches[one] for one in order.tolist())
