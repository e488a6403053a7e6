"""Kept bfloat16 copies give what autocast gives, bit for bit, and nothing but the pass ever sees them."""

import signal
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from small import EPOCHS, STEPS, at_step, differing, equalizer, everything, raising, trainer, vae
from torch import Tensor, nn

from lambda_vae.training import Interrupted, Trainer, checkpoints
from lambda_vae.training.working_copies import WorkingCopies


def bfloat16(folder: Path | None = None, **settings: object) -> Trainer:
    return trainer(folder, precision="bfloat16", exponents=equalizer(), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [{}, {"clip_norm": 0.5}, {"samples": 3}])
def test_training_is_that_of_autocast_bit_for_bit(settings: dict[str, object]) -> None:
    kept, cast = bfloat16(**settings), bfloat16(**settings)
    assert kept.stepper.copies is not None
    cast.stepper.copies = None
    kept.fit()
    cast.fit()
    assert differing(everything(kept), everything(cast)) == []
    assert differing(everything(kept), everything(trainer(exponents=equalizer(), **settings))) != []  # type: ignore[arg-type]


def test_float32_has_no_copies() -> None:
    assert trainer().stepper.copies is None


def test_interrupted_run_continues_bit_for_bit(tmp_path: Path) -> None:
    straight = bfloat16()
    straight.fit()
    with pytest.raises(Interrupted):
        bfloat16(tmp_path, view=at_step(2 * STEPS + 2, raising(signal.SIGTERM))).fit()
    newest = checkpoints.latest(tmp_path)
    assert newest is not None
    resumed = bfloat16()
    resumed.restore(checkpoints.load(newest))
    resumed.fit()
    assert resumed.epoch == EPOCHS
    assert differing(everything(resumed), everything(straight)) == []


def test_a_checkpoint_holds_float32_alone(tmp_path: Path) -> None:
    trained = bfloat16(tmp_path, epochs=1)
    trained.fit()
    newest = checkpoints.latest(tmp_path)
    assert newest is not None
    tensors = checkpoints.load(newest).tensors
    assert {tensors[name].dtype for name in tensors if name.startswith(("model.", "optimizer."))} == {torch.float32}
    weight = tensors["model.decoder.0.weight"]
    assert not torch.equal(weight, weight.bfloat16().float())  # the weights themselves, not what the copies hold


class Tied(nn.Module):
    """One layer's weights used twice, by two names, and one layer of a kind that is left to autocast."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.norm = nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.second(torch.tanh(self.first(self.first(x)))))


def gradients(model: nn.Module, copies: WorkingCopies | None, passes: int = 1) -> list[Tensor | None]:
    x = torch.linspace(-1, 1, 12).view(3, 4)
    for _ in range(passes):
        with torch.autocast("cpu", torch.bfloat16), copies or nullcontext():
            y = model(x)
        y.float().square().sum().backward()
        if copies is not None:
            copies.collect()
    return [None if weight.grad is None else weight.grad.clone() for weight in model.parameters()]


def freeze(model: nn.Module) -> None:
    model.get_submodule("second").bias.requires_grad_(False)


@pytest.mark.parametrize("prepare", [lambda model: None, freeze])
@pytest.mark.parametrize("passes", [1, 2])
def test_gradients_are_those_of_autocast(prepare: Callable[[nn.Module], object], passes: int) -> None:
    torch.manual_seed(0)
    model = Tied()
    copies = WorkingCopies(model)
    prepare(model)  # after the copies were made, as a strategy would
    kept = gradients(model, copies, passes)
    model.zero_grad()
    cast = gradients(model, None, passes)
    assert len(kept) == 5
    for first, second in zip(kept, cast, strict=True):
        assert (first is None) == (second is None)
        if first is not None and second is not None:
            assert first.dtype == second.dtype == torch.float32
            assert torch.equal(first, second)


def test_a_gradient_of_the_weights_themselves_is_kept() -> None:
    model = vae()
    copies = WorkingCopies(model)
    weight = model.posterior.head.weight
    with torch.autocast("cpu", torch.bfloat16), copies:
        trace = model(torch.ones(2, 12), torch.ones(1, 2, 3))
    (trace.z.sum() + 0.5 * weight.square().sum()).backward()
    alone = weight.grad.clone()  # type: ignore[union-attr]
    assert torch.equal(alone, weight)
    copies.collect()
    assert not torch.equal(weight.grad, alone)  # type: ignore[arg-type]


def test_the_weights_are_back_whatever_happens() -> None:
    model = Tied()
    before = dict(model.named_parameters(remove_duplicate=False))
    copies = WorkingCopies(model)
    with copies:
        assert model.first.weight.dtype == torch.bfloat16
        assert model.norm.weight.dtype == torch.float32
    with pytest.raises(RuntimeError), copies:
        model(torch.ones(3, 5))
    after = dict(model.named_parameters(remove_duplicate=False))
    assert before.keys() == after.keys()
    assert all(after[name] is weight for name, weight in before.items())


def test_copies_follow_the_weights() -> None:
    model = Tied()
    copies = WorkingCopies(model)
    with torch.no_grad():
        model.first.weight.fill_(3.0)
    with copies:
        assert (model.first.weight == 3).all()


def test_double_weights_are_left_alone() -> None:
    model = nn.Linear(2, 2).double()
    with WorkingCopies(model):
        assert model.weight.dtype == torch.float64


def test_a_pass_before_the_last_one_s_backward_is_an_error_not_a_wrong_gradient() -> None:
    model = Tied()
    copies = WorkingCopies(model)
    x = torch.ones(3, 4)
    with torch.autocast("cpu", torch.bfloat16), copies:
        first = model(x)
    with torch.autocast("cpu", torch.bfloat16), copies:
        model(x)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        first.sum().backward()
