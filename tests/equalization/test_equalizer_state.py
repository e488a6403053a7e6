"""A checkpoint in the middle of an epoch continues bit for bit."""

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lambda_vae.equalization import VarianceEqualizer
from lambda_vae.errors import InputError


class Model(nn.Module):
    """Somebody's VAE, as far as the equalizer is concerned."""

    def __init__(self) -> None:
        super().__init__()
        self.equalizer = VarianceEqualizer(3, 1.05, refresh_every=2, ramp_epochs=3, release_epochs=2, total_epochs=6)


BATCHES = 0.05 + 0.9 * torch.rand(6, 4, 5, 3, generator=torch.Generator().manual_seed(2))


def run(model: Model, start: tuple[int, int], stop: tuple[int, int]) -> list[Tensor]:
    """The exponents of all steps from (epoch, step) to (epoch, step), the end of an epoch included in its last step."""
    exponents = []
    for epoch in range(6):
        for step in range(4):
            if start <= (epoch, step) < stop:
                model.equalizer.observe(BATCHES[epoch, step])
                exponents.append(model.equalizer.exponent.clone())
                if step == 3:
                    model.equalizer.end_epoch()
    return exponents


def through_torch(model: Model, folder: Path) -> Model:
    torch.save(model.state_dict(), folder / "state.pt")
    other = Model()
    other.load_state_dict(torch.load(folder / "state.pt", weights_only=True))
    return other


def through_safetensors(model: Model, folder: Path) -> Model:
    save_file(model.state_dict(), folder / "state.safetensors")
    other = Model()
    other.load_state_dict(load_file(folder / "state.safetensors"))
    return other


def through_deepcopy(model: Model, folder: Path) -> Model:
    return copy.deepcopy(model)


@pytest.mark.parametrize("cut", [(0, 2), (1, 1), (1, 3), (2, 0), (4, 3)])
@pytest.mark.parametrize("carry", [through_torch, through_safetensors, through_deepcopy])
def test_state_continues_bit_for_bit_from_the_middle_of_an_epoch(carry, cut: tuple[int, int], tmp_path: Path) -> None:
    whole = Model()
    expected = run(whole, (0, 0), (6, 0))
    first = Model()
    before = run(first, (0, 0), cut)
    second = carry(first, tmp_path)
    run(first, cut, (6, 0))  # the first one goes on: the copy must not share its memory
    after = run(second, cut, (6, 0))
    assert all(torch.equal(*pair) for pair in zip(expected, before + after, strict=True))
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in whole.state_dict().items())


def test_continuation_needs_the_statistics_of_the_unfinished_epoch() -> None:
    expected = run(Model(), (0, 0), (3, 0))
    first = Model()
    run(first, (0, 0), (1, 2))
    state = first.state_dict()
    state["equalizer._extra_state"] = torch.zeros_like(state["equalizer._extra_state"])
    second = Model()
    second.load_state_dict(state)
    assert not torch.equal(run(second, (1, 2), (3, 0))[-1], expected[-1])


def test_state_dict_holds_tensors_only() -> None:
    state = Model().state_dict()
    assert all(isinstance(value, Tensor) for value in state.values())
    assert {name.removeprefix("equalizer.") for name in state} == {
        "running_std",
        "target_exponent",
        "exponent",
        "epoch",
        "_extra_state",
        "settings",
    }


def test_state_of_another_latent_dim_is_refused() -> None:
    with pytest.raises(InputError, match=r"of 3 latent dimensions .*, and here latent_dim is 4"):
        VarianceEqualizer(4, 1.05).load_state_dict(VarianceEqualizer(3, 1.05).state_dict())


def test_change_of_dtype_keeps_the_statistics_in_double() -> None:
    equalizer = VarianceEqualizer(3, 1.05)
    equalizer.observe(BATCHES[0, 0])
    before = equalizer.get_extra_state()
    equalizer.half().float()
    assert equalizer.get_extra_state().dtype == torch.float64
    assert torch.equal(equalizer.get_extra_state(), before)
