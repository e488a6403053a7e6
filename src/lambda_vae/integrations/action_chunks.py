"""Policies of action chunks (ACT) in lerobot and torchrl: their report, and their action for a given z."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lambda_vae.any_vae.modes import evaluated
from lambda_vae.diagnostics import CollapseReport
from lambda_vae.errors import InputError
from lambda_vae.integrations.host import report_on
from lambda_vae.likelihoods.continuous import Laplace

__all__ = ["diagnose_chunks", "given_code"]


def diagnose_chunks(
    model: Any,
    encode: Callable[[Tensor, Any], tuple[Tensor, Tensor]],
    act: Callable[[Any], Tensor],
    chunks: object,
    options: dict[str, Any],
    *,
    entrance: nn.Module,
    kl_weight: float,
    numbers: float,
    likelihood: type[Laplace] = Laplace,
) -> CollapseReport:
    """Return the report on a policy, in eval mode, with the Laplace scale that its loss implies.

    Args:
        model: The network.
        encode: (chunk, observation) -> (mu, logvar), with or without a draw.
        act: observation -> chunk, with z = 0.
        chunks: Batches of (chunk, observation).
        options: Of `diagnose`.
        entrance: The layer that takes z.
        kl_weight: Of the loss, greater than 0.
        numbers: In a chunk: T A, or the mean without padding.
        likelihood: Of a chunk.
    """
    if not kl_weight > 0.0:
        raise InputError(f"kl_weight is {kl_weight:g}: without a KL no Laplace scale belongs to the loss")

    def code(chunk: Tensor, observation: Any) -> tuple[Tensor, Tensor]:
        with torch.random.fork_rng([] if chunk.device.type == "cpu" else [chunk.device]):
            return encode(chunk, observation)

    def decode(z: Tensor, observation: Any) -> Tensor:
        with given_code(entrance, z):
            return act(observation)

    policy, notes = likelihood(decode, scale=kl_weight * numbers), [_note(kl_weight, numbers)]
    with evaluated(model):
        return report_on(code, policy, chunks, options, model=model, kl_weight=1.0, notes=notes)


@contextmanager
def given_code(entrance: nn.Module, z: Tensor) -> Iterator[None]:
    """Make a policy act on this z instead of the zeros that it uses without a chunk."""
    handle = entrance.register_forward_pre_hook(lambda layer, given: (z.to(given[0].dtype),))
    try:
        yield
    finally:
        handle.remove()


def _note(kl_weight: float, numbers: float) -> str:
    whole = kl_weight * numbers
    return (
        f"The loss adds {kl_weight:g} times the KL to a mean over {numbers:g} numbers: to their sum, at scale 1, that "
        f"is {whole:.4g} times the KL, or at a KL weight of 1 a Laplace scale of {whole:.4g}, as counted here; "
        f"kl_weight = {1.0 / numbers:.3g} stands for a scale of 1. The policy acts with z = 0."
    )
