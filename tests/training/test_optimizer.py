"""The loop's Adam is torch's, bit for bit, and takes up torch's state."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from lambda_vae.training.optimizer import FusedAdam


def weights() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((37, 5), (5,), (1,), (3,))]


def walk(optimizer: torch.optim.Adam, steps: int, seed: int = 2) -> None:
    """Steps along random gradients; the last weight has none but at every third step."""
    generator = torch.Generator().manual_seed(seed)
    params = optimizer.param_groups[0]["params"]
    for step in range(steps):
        for index, weight in enumerate(params):
            gradient = torch.randn(weight.shape, generator=generator)
            weight.grad = None if index == len(params) - 1 and step % 3 else gradient
        optimizer.step()


def state(optimizer: torch.optim.Adam) -> list[Tensor]:
    return [tensor for entry in optimizer.state_dict()["state"].values() for tensor in entry.values()]


def assert_same(first: list[Tensor], second: list[Tensor]) -> None:
    assert len(first) == len(second) > 0
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(first, second, strict=True))


def test_it_is_torch_s_fused_adam_bit_for_bit() -> None:
    ours, theirs = weights(), weights()
    first, second = FusedAdam(ours, lr=1e-2), torch.optim.Adam(theirs, lr=1e-2, fused=True)
    walk(first, 20)
    walk(second, 20)
    assert_same(ours, theirs)
    assert_same(state(first), state(second))
    assert first.state_dict().keys() == second.state_dict().keys()
    assert not torch.equal(ours[0], weights()[0])  # the control: they have moved


def test_it_goes_on_from_torch_s_state() -> None:
    theirs = weights()
    second = torch.optim.Adam(theirs, lr=1e-2, fused=True)
    walk(second, 4)
    ours = [nn.Parameter(weight.detach().clone()) for weight in theirs]
    first = FusedAdam(ours, lr=1e-2)
    first.load_state_dict(deepcopy(second.state_dict()))  # torch's would share the tensors
    walk(first, 5, seed=3)
    walk(second, 5, seed=3)
    assert_same(ours, theirs)
    assert_same(state(first), state(second))


def test_without_gradients_nothing_moves() -> None:
    ours = weights()
    optimizer = FusedAdam(ours, lr=1e-2)
    optimizer.step()
    assert_same(list(ours), list(weights()))
    assert optimizer.state_dict()["state"] == {}


@pytest.mark.parametrize("set_to_none", [True, False])
def test_gradients_are_forgotten(set_to_none: bool) -> None:
    ours = weights()
    optimizer = FusedAdam(ours, lr=1e-2)
    for weight in ours:
        weight.grad = torch.ones_like(weight)
    optimizer.zero_grad(set_to_none=set_to_none)
    assert all((weight.grad is None) if set_to_none else (weight.grad == 0).all() for weight in ours)
