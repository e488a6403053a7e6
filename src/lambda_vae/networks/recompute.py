"""Memory for time: blocks whose inside is computed again in the backward pass instead of being kept."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

__all__ = ["Recomputing", "allow_recomputing"]

T = TypeVar("T")


class Recomputing(nn.Module):
    """A network in blocks, of which it may keep the inputs alone.

    Attributes:
        recompute: Whether it does.
    """

    recompute = False

    def through(self, block: Callable[..., T], *inputs: torch.Tensor) -> T:
        """Return what a block makes of its inputs; the numbers are the same either way.

        Args:
            block: A module without random numbers.
            inputs: Of the block.
        """
        if not (self.recompute and torch.is_grad_enabled()):
            return block(*inputs)
        result: T = checkpoint(block, *inputs, use_reentrant=False, preserve_rng_state=False)
        return result


def allow_recomputing(network: nn.Module, allow: bool) -> None:
    """Choose for all parts of a network that can.

    Args:
        network: Any.
        allow: Whether they keep the inputs of their blocks alone.

    Source:
        Chen et al. 2016, arXiv:1604.06174.
    """
    for part in network.modules():
        if isinstance(part, Recomputing):
            part.recompute = allow
