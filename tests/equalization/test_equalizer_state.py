"""A checkpoint in the middle of an epoch continues bit for bit."""

import copy
import math
import pickle
from pathlib import Path

import pytest
import torch
from apart import run_apart
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lambda_vae.equalization import VarianceEqualizer, optimal_exponent
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


class Host(nn.Module):
    """A model with weights beside lambda."""

    def __init__(self, delta: float = 1.05, **options: float) -> None:
        super().__init__()
        self.encoder = nn.Linear(3, 3)
        self.equalizer = VarianceEqualizer(3, delta, refresh_every=1, **options)


def trained_host(delta: float = 1.05, **options: float) -> Host:
    host = Host(delta, **options)
    host.equalizer.observe(BATCHES[0, 0])
    host.equalizer.end_epoch()
    host.equalizer.observe(BATCHES[0, 1])
    return host


def lambda_of(host: Host) -> dict[str, Tensor]:
    return {name: value for name, value in host.state_dict().items() if name.startswith("equalizer.")}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


CASTS = {
    "bfloat16": lambda host: host.to(torch.bfloat16),
    "half": lambda host: host.half(),
    "half and back": lambda host: host.half().float(),
    "to_empty": lambda host: host.to_empty(device="cpu"),
    "meta": lambda host: host.to("meta"),
    "meta and back": lambda host: host.to("meta").to_empty(device="cpu"),
    "share_memory": lambda host: host.share_memory(),
    "deepcopy": copy.deepcopy,
    "pickle": lambda host: pickle.loads(pickle.dumps(host)),
}


@pytest.mark.parametrize("cast", CASTS)
def test_no_cast_of_a_model_reaches_lambda(cast: str) -> None:
    host = trained_host()
    before = lambda_of(host)
    other = CASTS[cast](host)
    assert same(lambda_of(other), before)
    other.equalizer.end_epoch()
    host = trained_host()
    host.equalizer.end_epoch()
    assert same(lambda_of(other), lambda_of(host))


def test_a_double_model_has_a_double_lambda() -> None:
    assert Host().double().equalizer.exponent.dtype == torch.float64
    assert Host().double().float().equalizer.exponent.dtype == torch.float32
    assert Host().double().equalizer(torch.zeros(2, 3).double(), torch.ones(2, 3).double()).dtype == torch.float64


@pytest.mark.parametrize("default", [torch.bfloat16, torch.float64])
def test_lambda_is_at_least_single_whatever_the_default_dtype(default: torch.dtype) -> None:
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(default)
        assert VarianceEqualizer(2, 1.1).exponent.dtype == torch.promote_types(default, torch.float32)
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_half_models_moving_average_does_not_stall(dtype: torch.dtype) -> None:
    equalizer = VarianceEqualizer(1, 1.5).to(dtype)
    for std in [0.99] * 2 + [0.93] * 40:
        equalizer.observe(torch.full((50, 1), std))
        equalizer.end_epoch()
    running = 0.93 + 0.06 * 0.9**20
    assert equalizer.running_std.item() == pytest.approx(running, rel=1e-6)
    assert equalizer.exponent.item() == pytest.approx(optimal_exponent(running, 1.5), rel=1e-4)


def test_a_model_made_on_the_meta_device_has_a_real_lambda() -> None:
    trained = trained_host()
    with torch.device("meta"):
        emptied, assigned = Host(), Host()
    emptied.to_empty(device="cpu")
    emptied.load_state_dict(trained.state_dict())
    assigned.load_state_dict(trained.state_dict(), assign=True)
    for host in (emptied, assigned):
        assert same(host.state_dict(), trained.state_dict())
        host.equalizer.observe(BATCHES[0, 2])
        host.equalizer.end_epoch()
        assert host.equalizer.exponent.device.type == "cpu"
    with torch.device("meta"):
        shape = Host()
    assert shape.equalizer(torch.empty(4, 3, device="meta"), torch.empty(4, 3, device="meta")).shape == (4, 3)
    assert not shape.equalizer.get_extra_state().any()


def test_averages_of_weights_leave_lambda_alone() -> None:
    host = Host()
    averaged = AveragedModel(host, multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=True)
    by_hand = copy.deepcopy(host)
    fresh = lambda_of(host)
    for _ in range(3):
        host.equalizer.observe(torch.full((2, 3), 0.7))
        host.equalizer.end_epoch()
        averaged.update_parameters(host)
        for own, other in zip(by_hand.state_dict().values(), host.state_dict().values(), strict=True):
            own.copy_(own.lerp(other.to(own), 0.5) if own.is_floating_point() else other)
    assert host.equalizer.narrows
    assert same(lambda_of(averaged.module), fresh)
    assert same(lambda_of(by_hand), fresh)
    assert list(host.buffers()) == []


DIFFERENT = {
    "delta": ({"delta": 1.2}, "was made with delta 1.05, and this equalizer has delta 1.2, which holds from here on"),
    "infinite": ({"delta": math.inf}, "delta 1.05, and this equalizer has delta inf"),
    "decay": ({"decay": 0.5}, "decay 0.9, and this equalizer has decay 0.5"),
    "two": (
        {"decay": 0.5, "release_capacity": 2.0},
        "decay 0.9, release_capacity None, and this equalizer has decay 0.5, release_capacity 2,",
    ),
    "max_exponent": ({"max_exponent": 9.0}, "max_exponent 20, and this equalizer has max_exponent 9"),
    "ramp_epochs": ({"ramp_epochs": 4}, "ramp_epochs 0, and this equalizer has ramp_epochs 4"),
    "release": ({"total_epochs": 40, "release_epochs": 5, "settle_epochs": 2, "release_path": "delta"}, None),
    "steps": ({"steps_per_epoch": 7}, None),
    "none": ({}, None),
}


@pytest.mark.parametrize("given", DIFFERENT)
def test_settings_that_decide_lambda_are_named_where_they_differ(given: str, recwarn: pytest.WarningsRecorder) -> None:
    options, message = DIFFERENT[given]
    trained = trained_host()
    loaded = Host(**options)
    loaded.load_state_dict(trained.state_dict())
    assert torch.equal(loaded.equalizer.exponent, trained.equalizer.exponent)
    said = [str(one.message) for one in recwarn]
    assert len(said) == (message is not None)
    assert message is None or message in said[0]


def test_settings_are_the_same_in_weights_that_were_cast() -> None:
    state = {name: value.half() for name, value in trained_host(1.1).state_dict().items()}
    loaded = Host(1.1)
    loaded.load_state_dict(state)
    assert loaded.equalizer.exponent.dtype == torch.float32


def test_a_state_of_an_earlier_release_loads() -> None:
    state = trained_host().state_dict()
    del state["equalizer.settings"]
    loaded = Host(1.3)
    loaded.load_state_dict(state)
    assert torch.equal(loaded.equalizer.exponent, state["equalizer.exponent"])


def test_plain_weights_load_with_a_word() -> None:
    plain = {name: value for name, value in Host().state_dict().items() if not name.startswith("equalizer.")}
    fresh, trained = Host(), trained_host()
    with pytest.warns(UserWarning, match="the weights hold no lambda; it starts at 1"):
        fresh.load_state_dict(plain)
    before = lambda_of(trained)
    with pytest.warns(UserWarning, match="no lambda; the equalizer keeps its own, of epoch 1"):
        trained.load_state_dict(plain)
    assert same(lambda_of(trained), before)
    for host in (fresh, trained):
        assert torch.equal(host.encoder.weight, plain["encoder.weight"])
    Host(math.inf).load_state_dict(plain)  # there is nothing to say of the plain VAE


def test_a_state_that_is_loaded_in_inference_mode_is_trained_with() -> None:
    loaded, trained = Host(), trained_host()
    with torch.inference_mode():
        loaded.load_state_dict({name: value.clone() for name, value in trained.state_dict().items()})
    assert loaded.equalizer.narrows
    mu, std = torch.zeros(2, 3), torch.full((2, 3), 0.5).requires_grad_()
    loaded.equalizer(mu, std).sum().backward()
    loaded.equalizer.exponent.fill_(1.0)
    assert not loaded.equalizer.narrows
    assert loaded.equalizer.get_extra_state()[3, 0] == trained.equalizer.get_extra_state()[3, 0] + 2


@pytest.mark.parametrize("name", ["running_std", "target_exponent", "exponent", "epoch", "_extra_state"])
def test_half_a_state_is_refused(name: str) -> None:
    state = trained_host().state_dict()
    del state[f"equalizer.{name}"]
    fresh = Host()
    with pytest.raises(RuntimeError, match=rf"Missing key\(s\) in state_dict: \"equalizer.{name}\""):
        fresh.load_state_dict(state)
    assert not fresh.equalizer.narrows
    with pytest.raises(RuntimeError, match=r"Missing key.*running_std"):
        fresh.equalizer.load_state_dict({})
    with pytest.raises(RuntimeError, match=r"Unexpected key.*equalizer.surprise"):
        fresh.load_state_dict(trained_host().state_dict() | {"equalizer.surprise": torch.zeros(())})
    fresh.load_state_dict(trained_host().state_dict() | {"equalizer.surprise": torch.zeros(())}, strict=False)


def test_a_state_may_be_kept_apart_from_the_weights_around_it() -> None:
    host = trained_host()
    host.equalizer.apart = True
    assert list(host.state_dict()) == ["encoder.weight", "encoder.bias"]
    fresh = Host()
    fresh.equalizer.apart = True
    fresh.load_state_dict(host.state_dict())
    fresh.equalizer.load_state_dict(host.equalizer.state_dict())
    assert same(fresh.equalizer.state_dict(), host.equalizer.state_dict())


def test_the_steps_of_an_unfinished_epoch_come_back() -> None:
    ended = []
    for cut in (None, 1, 4):
        equalizer = VarianceEqualizer(3, 1.05, steps_per_epoch=3)
        for step in range(9):
            if step == cut:
                state, equalizer = equalizer.state_dict(), VarianceEqualizer(3, 1.05, steps_per_epoch=3)
                equalizer.load_state_dict(state)
            equalizer.observe(BATCHES[step % 6, step % 4])
        ended.append(equalizer.state_dict())
    assert int(ended[0]["epoch"]) == 2
    assert same(ended[1], ended[0])
    assert same(ended[2], ended[0])


SCRIPTED = """
import torch
from lambda_vae.equalization import VarianceEqualizer

class Drawing(torch.nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.equalizer = VarianceEqualizer(3, 1.05, dim=dim)
        self.equalizer.exponent.copy_(torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, x):
        return self.equalizer(x, torch.sigmoid(x), torch.ones_like(x))

for dim, x in ((-1, torch.randn(5, 3)), (1, torch.randn(2, 3, 4, 4)), (-3, torch.randn(3, 4, 4))):
    model = Drawing(dim)
    scripted = torch.jit.script(model.eval())
    torch.testing.assert_close(scripted(x), model(x))
    try:
        scripted.train()(x)
    except torch.jit.Error as error:
        assert "a scripted equalizer observes nothing; train the model that was scripted" in str(error)
    else:
        raise AssertionError
"""


def test_a_scripted_model_samples_in_eval_mode_and_is_not_trained(tmp_path: Path) -> None:
    program = tmp_path / "scripted.py"
    program.write_text(SCRIPTED)
    run_apart(f"import runpy; runpy.run_path({str(program)!r})")
