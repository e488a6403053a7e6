"""What the equalizer observes, when it looks, what exponent it sets, and how it samples."""

import math

import pytest
import torch
from apart import run_apart
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lambda_vae.equalization import VarianceEqualizer, critical_std, optimal_exponent, sampling_std
from lambda_vae.errors import InputError


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def positive(*shape: int, seed: int = 0) -> Tensor:
    return 0.05 + 0.9 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def trained(delta: float = 1.05, epochs: int = 2, **options: int) -> VarianceEqualizer:
    """An equalizer of 3 dimensions that has seen std 0.3, 0.6 and 0.9 in every epoch."""
    equalizer = VarianceEqualizer(3, delta, **options)
    for _ in range(epochs):
        equalizer.observe(torch.tensor([[0.3, 0.6, 0.9]]))
        equalizer.end_epoch()
    return equalizer


def test_exponent_is_one_before_the_first_refresh() -> None:
    equalizer = trained(epochs=1)
    assert torch.equal(equalizer.exponent, torch.ones(3))
    assert torch.equal(equalizer.target_exponent, torch.ones(3))


def test_running_std_is_the_average_over_examples_then_decays() -> None:
    equalizer = VarianceEqualizer(3, 1.05)
    batches = [positive(4, 3, seed=1), positive(7, 3, seed=2), positive(2, 5, 3, seed=3), positive(1, 3, seed=4)]
    for first, second in ((0, 1), (2, 3)):
        for index in (first, second):
            equalizer.observe(batches[index])
            equalizer.end_epoch()
    rows = [batch.reshape(-1, 3).double() for batch in batches]
    first_mean, second_mean = torch.cat(rows[:2]).mean(0), torch.cat(rows[2:]).mean(0)
    by_hand = 0.9 * first_mean + 0.1 * second_mean
    torch.testing.assert_close(equalizer.running_std, by_hand.float(), rtol=1e-6, atol=0)
    by_theory = optimal_exponent(by_hand, 1.05).float()
    torch.testing.assert_close(equalizer.target_exponent, by_theory, rtol=1e-5, atol=0)
    assert torch.equal(equalizer.exponent, equalizer.target_exponent)


def test_first_observation_starts_the_average() -> None:
    torch.testing.assert_close(trained(decay=0.999).running_std, torch.tensor([0.3, 0.6, 0.9]), rtol=1e-6, atol=0)


@pytest.mark.parametrize("refresh_every", [1, 2, 3])
def test_exponent_changes_at_every_refresh_and_only_there(refresh_every: int) -> None:
    equalizer = VarianceEqualizer(2, 1.05, refresh_every=refresh_every)
    before = equalizer.exponent.clone()
    for epoch in range(1, 10):
        equalizer.observe(torch.full((4, 2), 0.2 + 0.05 * epoch))
        equalizer.end_epoch()
        assert torch.equal(equalizer.exponent, before) == (epoch % refresh_every != 0), epoch
        assert int(equalizer.epoch) == epoch
        before = equalizer.exponent.clone()


def test_each_dimension_gets_its_own_exponent_and_a_collapsed_one_the_greatest() -> None:
    equalizer = VarianceEqualizer(4, 1.05, refresh_every=1, max_exponent=11.0)
    equalizer.observe(torch.tensor([[0.1, 0.6, 1.0, 1.3]]))
    equalizer.end_epoch()
    assert equalizer.exponent[0] == 1.0
    assert equalizer.exponent[1].item() == pytest.approx(math.log(1 - 1 / 1.05) / (2 * math.log(0.6)), rel=1e-6)
    assert equalizer.exponent[2:].tolist() == [11.0, 11.0]


def test_ramp_grows_linearly_to_the_target() -> None:
    equalizer = VarianceEqualizer(2, 1.05, refresh_every=1, ramp_epochs=4)
    target = optimal_exponent(torch.tensor([0.5, 0.8]), 1.05)
    for epoch in range(1, 7):
        equalizer.observe(torch.tensor([[0.5, 0.8]]))
        equalizer.end_epoch()
        expected = 1 + (target - 1) * min(1.0, epoch / 4)
        torch.testing.assert_close(equalizer.exponent, expected, rtol=1e-6, atol=0)
    assert torch.equal(equalizer.exponent, equalizer.target_exponent)


def test_release_ends_with_an_epoch_trained_at_exactly_one() -> None:
    equalizer = VarianceEqualizer(1, 1.01, refresh_every=1, release_epochs=4, total_epochs=10)
    trained_at = []
    for _ in range(10):
        trained_at.append(equalizer.exponent.item())
        equalizer.observe(torch.tensor([[0.7]]))
        equalizer.end_epoch()
    target = optimal_exponent(0.7, 1.01)
    strength = [0, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0]
    assert trained_at == pytest.approx([1 + (target - 1) * factor for factor in strength], rel=1e-6)
    assert trained_at[-1] == 1.0
    assert equalizer.exponent.item() == 1.0  # and so is the finished model's
    assert equalizer.target_exponent.item() > 5


def test_release_multiplies_the_ramp() -> None:
    equalizer = trained(epochs=4, refresh_every=1, ramp_epochs=8, release_epochs=4, total_epochs=7)
    expected = 1 + (equalizer.target_exponent - 1) * (4 / 8) * (2 / 4)
    torch.testing.assert_close(equalizer.exponent, expected, rtol=1e-6, atol=0)


def exponents_trained_at(std: float, epochs: int, **options: float | str) -> list[float]:
    """The exponent of every epoch of a training that always shows one std, and of the finished model."""
    equalizer = VarianceEqualizer(1, 1.01, refresh_every=1, total_epochs=epochs, **options)
    exponents = [equalizer.exponent.item()]
    for _ in range(epochs):
        equalizer.observe(torch.tensor([[std]]))
        equalizer.end_epoch()
        exponents.append(equalizer.exponent.item())
    return exponents


@pytest.mark.parametrize("release_epochs", [0, 1, 3])
def test_a_release_that_settles_is_the_same_release_earlier(release_epochs: int) -> None:
    sooner = exponents_trained_at(0.7, 10, release_epochs=release_epochs, settle_epochs=3)
    alone = exponents_trained_at(0.7, 7, release_epochs=max(1, release_epochs))
    assert sooner == pytest.approx(alone + [1.0] * 3, rel=1e-6)
    assert sooner[-4:] == [1.0] * 4


def test_a_release_along_delta_moves_the_cap_on_the_noise_and_lets_small_stds_go_first() -> None:
    wide, narrow = (exponents_trained_at(std, 10, release_epochs=8, release_path="delta")[1:-1] for std in (0.7, 0.12))
    caps = [critical_std(1.01) ** (left / 8) for left in (8, 7, 6, 5, 4, 3, 2, 1, 0)]
    assert [0.7**exponent for exponent in wide] == pytest.approx([min(0.7, cap) for cap in caps], rel=1e-5)
    assert [0.12**exponent for exponent in narrow] == pytest.approx([min(0.12, cap) for cap in caps], rel=1e-5)
    assert narrow.count(1.0) > wide.count(1.0)


def test_a_dimension_that_carries_enough_is_not_held_and_is_held_again_when_it_carries_less() -> None:
    equalizer = VarianceEqualizer(2, 1.05, refresh_every=1, release_capacity=0.5)
    std = torch.full((2, 2), 0.6)
    signal = 0.6 * math.sqrt(math.expm1(2 * 0.5))  # 1/2 ln(1 + S / sigma^2) = 0.5 nats
    for factor, let_go in ((1.01, True), (0.99, False), (1.01, True)):
        equalizer(factor * torch.tensor([[signal, 0.1], [-signal, -0.1]]) + 3.0, std)
        equalizer.end_epoch()
        assert (equalizer.exponent[0].item() == 1.0) == let_go
        assert equalizer.exponent[1].item() == pytest.approx(optimal_exponent(0.6, 1.05), rel=1e-6)


def test_without_means_no_dimension_can_be_let_go() -> None:
    with pytest.raises(InputError, match=r"release_capacity is 0.5, which needs mu too; call observe\(std, mu\)"):
        VarianceEqualizer(2, 1.05, release_capacity=0.5).observe(torch.full((1, 2), 0.6))


def test_without_release_the_exponent_stays_after_the_last_epoch() -> None:
    assert (trained(epochs=6, total_epochs=6).exponent > 1).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["untrained", "infinite delta", "released"])
def test_sample_at_exponent_one_is_the_plain_vae_bit_for_bit(kind: str, dtype: torch.dtype) -> None:
    equalizer = {
        "untrained": VarianceEqualizer(3, 1.05),
        "infinite delta": trained(delta=math.inf),
        "released": trained(epochs=4, release_epochs=1, total_epochs=4),
    }[kind]
    mu, std, eps = noise(500, 3, dtype=dtype), positive(500, 3).to(dtype) * 1.3, noise(500, 3, seed=1, dtype=dtype)
    assert torch.equal(equalizer.sample(mu, std, eps), mu + std * eps)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        drawn = equalizer(mu, std)
        torch.manual_seed(5)
        assert torch.equal(drawn, mu + std * torch.randn_like(std))


def test_infinite_delta_is_the_plain_vae_even_if_collapsed() -> None:
    equalizer = VarianceEqualizer(2, math.inf, refresh_every=1)
    equalizer.observe(torch.tensor([[1.0, 2.0]]))
    equalizer.end_epoch()
    assert equalizer.exponent.tolist() == [1.0, 1.0]


def test_whether_anything_narrows_follows_the_exponent_whoever_sets_it() -> None:
    equalizer = VarianceEqualizer(1, 1.01, refresh_every=1, release_epochs=2, total_epochs=5)
    seen = [equalizer.narrows]
    for _ in range(5):
        equalizer.observe(torch.tensor([[0.7]]))
        equalizer.end_epoch()
        seen.append(equalizer.narrows)
        assert equalizer.narrows == bool(equalizer.exponent != 1)
    assert seen == [False, True, True, True, False, False]
    other = trained()
    assert other.narrows
    other.load_state_dict(VarianceEqualizer(3, 1.05).state_dict())
    assert not other.narrows
    other.exponent.fill_(3.0)
    assert other.narrows
    assert not trained(delta=math.inf).narrows


def test_sample_uses_the_exponent_of_each_dimension() -> None:
    equalizer = trained()
    mu, std, eps = noise(6, 3), torch.tensor([0.3, 0.5, 1.2]).expand(6, 3), noise(2, 6, 3, seed=1)
    powers = [0.3 ** equalizer.exponent[0].item(), 0.5 ** equalizer.exponent[1].item(), 1.2]
    torch.testing.assert_close(equalizer.sample(mu, std, eps), mu + torch.tensor(powers) * eps)
    assert powers[1] < 0.5


def test_sample_has_the_spread_it_says() -> None:
    equalizer = trained()
    std = torch.tensor([0.3, 0.6, 0.9]).expand(20_000, 3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(8)
        z = equalizer.sample(torch.zeros_like(std), std)
    spread = z.std(0) / math.sqrt(1 - 1 / 1.05)  # Eq. 30: at lambda* every dimension has the noise sigma_c
    assert (spread - 1).abs().max() < 4 / math.sqrt(2 * 20_000)


def test_only_training_is_observed() -> None:
    equalizer = VarianceEqualizer(3, 1.05).eval()
    equalizer(noise(4, 3), positive(4, 3))
    assert not equalizer.get_extra_state().any()
    equalizer.train()(noise(4, 3), positive(4, 3))
    assert equalizer.get_extra_state()[-1, 0] == 4
    equalizer.sample(noise(4, 3), positive(4, 3))
    assert equalizer.get_extra_state()[-1, 0] == 4


def test_gradients_pass_through_the_sample_and_not_through_the_observation() -> None:
    equalizer = trained()
    mu, std = noise(4, 3).requires_grad_(), positive(4, 3).requires_grad_()
    equalizer(mu, std, noise(4, 3, seed=1)).sum().backward()
    assert mu.grad is not None
    assert std.grad is not None
    assert std.grad.isfinite().all()
    assert not equalizer.get_extra_state().requires_grad
    assert list(equalizer.parameters()) == []


@pytest.mark.parametrize("dim", [1, -3])
def test_channels_may_be_the_latent_axis(dim: int) -> None:
    equalizer, flat = VarianceEqualizer(3, 1.05, refresh_every=1, dim=dim), VarianceEqualizer(3, 1.05, refresh_every=1)
    mu, std, eps = noise(2, 3, 4, 5), positive(2, 3, 4, 5) ** torch.tensor([0.1, 1, 4]).view(3, 1, 1), noise(2, 3, 4, 5)
    equalizer.observe(std)
    flat.observe(std.movedim(1, -1))
    for each in (equalizer, flat):
        each.end_epoch()
    assert torch.equal(equalizer.exponent, flat.exponent)
    expected = flat.sample(mu.movedim(1, -1), std.movedim(1, -1), eps.movedim(1, -1)).movedim(-1, 1)
    assert torch.equal(equalizer.sample(mu, std, eps), expected)
    assert len(set(equalizer.exponent.tolist())) > 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_inputs_are_sampled_in_float32_and_keep_their_dtype(dtype: torch.dtype) -> None:
    equalizer = trained()
    mu, std, eps = noise(50, 3).to(dtype), positive(50, 3).to(dtype), noise(50, 3, seed=1).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z = equalizer(mu, std, eps)
        assert equalizer.sampling_std(std).dtype == torch.float32
    assert z.dtype == dtype
    exact = mu.double() + sampling_std(std.double(), equalizer.exponent.double()) * eps.double()
    torch.testing.assert_close(z.double(), exact, rtol=torch.finfo(dtype).eps, atol=1e-6)
    equalizer.end_epoch()
    assert equalizer.get_extra_state()[0].tolist() == pytest.approx(std.double().sum(0).tolist(), rel=1e-12)


def test_many_small_batches_lose_no_digits() -> None:
    equalizer = VarianceEqualizer(1, 1.05, refresh_every=1)
    equalizer.set_extra_state(
        torch.tensor([[3e8], [0.0], [0.0], [1e9]], dtype=torch.float64)
    )  # as after ten million batches
    for _ in range(1000):
        equalizer.observe(torch.full((10, 1), 0.3))
    assert equalizer.get_extra_state()[0, 0].item() == pytest.approx(3e8 + 3000, rel=1e-12)


class NoLook(TorchDispatchMode):
    """Fails where a value of a tensor is looked at, for which a device is waited for."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func not in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default), func
        return func(*args, **kwargs or {})


def test_observing_and_sampling_never_wait_for_the_device() -> None:
    equalizer = trained()
    with NoLook(), pytest.raises(AssertionError, match="_local_scalar_dense"):
        bool(equalizer.exponent.any())
    std, mask = positive(4, 5, 3), torch.ones(5, dtype=torch.bool)
    with NoLook():
        equalizer(std, std, mask=mask)
        assert equalizer.narrows
    assert equalizer.get_extra_state()[3, 0] == 20


COMPILED = """
import torch
from lambda_vae.equalization import VarianceEqualizer

equalizer = VarianceEqualizer(3, 1.05, refresh_every=1)
equalizer.observe(torch.tensor([[0.3, 0.6, 0.9]]))
equalizer.end_epoch()
compiled = torch.compile(equalizer, backend="eager", fullgraph=True)
for batch in (8, 5):
    mu, std, eps = torch.randn(batch, 3), torch.rand(batch, 3) + 0.01, torch.randn(batch, 3)
    assert torch.equal(compiled(mu, std, eps), equalizer.sample(mu, std, eps))
assert equalizer.get_extra_state()[-1, 0] == 13
"""


def test_equalizer_compiles_into_one_graph() -> None:
    run_apart(COMPILED)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delta": 1.0}, "delta is 1.0; it must be greater than 1"),
        ({"delta": math.nan}, "delta is nan"),
        ({"latent_dim": 0}, "latent_dim is 0"),
        ({"refresh_every": 0}, "refresh_every is 0; it must be at least 1"),
        ({"decay": 1.0}, "decay is 1.0; it must be at least 0 and less than 1"),
        ({"decay": math.nan}, "decay is nan"),
        ({"ramp_epochs": -1}, "ramp_epochs is -1"),
        ({"max_exponent": 0.5}, "max_exponent is 0.5"),
        ({"release_epochs": -1}, "release_epochs is -1"),
        ({"settle_epochs": 3, "total_epochs": 2}, "settle_epochs is 3; .*total_epochs"),
        ({"release_capacity": 0.0}, "release_capacity is 0.0; it must be greater than 0 nats"),
        ({"release_capacity": math.nan}, "release_capacity is nan"),
        ({"release_epochs": 3}, "release_epochs is 3; .*total_epochs"),
        ({"release_epochs": 3, "total_epochs": 2}, "release_epochs is 3; .*total_epochs"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float | str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        VarianceEqualizer(**({"latent_dim": 3, "delta": 1.1} | options))


def test_wrong_latent_axis_is_refused() -> None:
    with pytest.raises(InputError, match=r"std has shape \(2, 6\); axis -1 must have length 3"):
        VarianceEqualizer(3, 1.1).observe(positive(2, 6))


def test_a_refresh_without_observations_is_refused() -> None:
    equalizer = VarianceEqualizer(3, 1.1)
    with pytest.warns(UserWarning, match="nothing was observed in epoch 1"):
        equalizer.end_epoch()
    for _ in range(2):
        with pytest.raises(InputError, match="no std was observed in 2 epochs; call observe"):
            equalizer.end_epoch()
    equalizer.observe(torch.full((4, 3), 0.6))
    equalizer.end_epoch()  # what was refused left nothing behind
    assert int(equalizer.epoch) == 2
    assert equalizer.running_std.tolist() == pytest.approx([0.6] * 3)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["std", "mu"])
def test_a_step_that_is_not_finite_leaves_lambda_alone(broken: float, where: str) -> None:
    equalizers = [VarianceEqualizer(2, 1.1, release_capacity=5.0) for _ in range(2)]
    good = {"std": torch.full((10, 2), 0.5), "mu": torch.zeros(10, 2)}
    bad = {name: one.clone() for name, one in good.items()}
    bad[where][3, 0] = broken
    for _ in range(2):
        for one in equalizers:
            one.observe(**good)
        equalizers[0].observe(**bad)
        for one in equalizers:
            one.end_epoch()
    assert torch.equal(equalizers[0].running_std, equalizers[1].running_std)
    assert torch.equal(equalizers[0].exponent, equalizers[1].exponent)
