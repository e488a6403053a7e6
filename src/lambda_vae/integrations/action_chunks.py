"""Policies of action chunks (ACT): what their loss stands for, and how they act on a z of ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

__all__ = ["given_code", "note_on_chunks"]


@contextmanager
def given_code(entrance: nn.Module, z: Tensor) -> Iterator[None]:
    """Have a policy act on a z of ours, in the place of the zeros that it takes without a chunk.

    Args:
        entrance: The layer that z goes into.
        z: The codes, [B, D].
    """
    handle = entrance.register_forward_pre_hook(lambda layer, given: (z.to(given[0].dtype),))
    try:
        yield
    finally:
        handle.remove()


def note_on_chunks(kl_weight: float, numbers: float) -> str:
    """Return what the weight of an ACT loss stands for.

    Args:
        kl_weight: Of the loss.
        numbers: Of a chunk: T A, or as many of them as are not padding.
    """
    whole = kl_weight * numbers
    return (
        f"The loss adds {kl_weight:g} times the KL to a mean over {numbers:g} numbers: to their sum, at scale 1, that "
        f"is {whole:.4g} times the KL, or at a KL weight of 1 a Laplace scale of {whole:.4g}, as counted here; "
        f"kl_weight = {1.0 / numbers:.3g} stands for a scale of 1. The policy acts with z = 0."
    )
