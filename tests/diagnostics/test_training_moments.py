import pytest
import torch

from lambda_vae.diagnostics import TrainingMoments
from lambda_vae.equalization.theory import gradient_amplification
from lambda_vae.errors import InputError
from lambda_vae.training.history import VECTORS


def batches(count=5, size=64, dim=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        draw = [torch.randn(size, dim, generator=generator) for _ in range(3)]
        yield (*draw, -2 * torch.rand(size, dim, generator=generator))


def filled(parts, dim=4):
    moments = TrainingMoments(dim)
    for part in parts:
        moments.update(*part)
    return moments


@pytest.mark.parametrize("exponent", [None, torch.tensor([1.0, 2.0, 3.0, 20.0])])
def test_reading_equals_direct_formulas(exponent):
    parts = list(batches())
    reading = filled(parts).compute(exponent)
    score, eps, mu, logvar = (torch.cat(column).double() for column in zip(*parts, strict=True))
    std = (0.5 * logvar).exp()
    amplification = 1.0 if exponent is None else gradient_amplification(std.mean(0), exponent.double())
    force = (1 / std - std).mean(0).abs()
    expected = {
        "std_mean": std.mean(0),
        "std_spread": std.std(0, correction=0),
        "signal_power": mu.var(0, correction=0),
        "kl": 0.5 * (mu.square() + std.square() - 1 - logvar).mean(0),
        "reconstruction_gradient": (score * eps).mean(0),
        "gradient_ratio": amplification * (score * eps).mean(0).abs() / force,
        "gradient_ratio_stderr": amplification * (score * eps).std(0, correction=0) / len(mu) ** 0.5 / force,
        "decoder_capacity": score.square().mean(0).sqrt(),
    }
    for name, value in expected.items():
        # the products of a step are float32, their sums float64
        got = getattr(reading, name)
        torch.testing.assert_close(got, value, rtol=2e-6, atol=1e-7, msg=lambda m, n=name: f"{n}: {m}")


def test_kl_and_spread_near_collapse_keep_their_digits():
    generator = torch.Generator().manual_seed(1)
    logvar = -1e-3 * torch.rand(60_000, 1, generator=generator)
    zeros = torch.zeros(60_000, 1)
    reading = filled(zip(*(t.split(100) for t in (zeros, zeros, zeros, logvar)), strict=True), 1).compute()
    wide = logvar.double()
    assert float(reading.kl) == pytest.approx(float(0.5 * (torch.expm1(wide) - wide).mean()), rel=1e-3)
    assert float(reading.std_spread) == pytest.approx(float((0.5 * wide).exp().std(correction=0)), rel=1e-3)


def test_long_epochs_lose_nothing():
    # 60,000 examples far from zero: a float32 running sum would be off in the fourth digit of the variance
    generator = torch.Generator().manual_seed(2)
    mu = 3 + 0.1 * torch.randn(60_000, 1, generator=generator)
    zeros = torch.zeros(100, 1)
    moments = TrainingMoments(1)
    for part in mu.split(100):
        moments.update(zeros, zeros, part, zeros)
    assert float(moments.compute().signal_power) == pytest.approx(float(mu.double().var(correction=0)), rel=1e-5)


def test_state_goes_through_tensors_and_adds_over_processes():
    parts = list(batches())
    whole = filled(parts)
    resumed = TrainingMoments(4)
    resumed.load_state_dict(filled(parts[:2]).state_dict())
    for part in parts[2:]:
        resumed.update(*part)
    assert torch.equal(resumed.sums, whole.sums)
    one, two = filled(parts[:2]).state_dict(), filled(parts[2:]).state_dict()
    assert all(isinstance(tensor, torch.Tensor) for tensor in one.values())
    joined = TrainingMoments(4)
    joined.load_state_dict({name: one[name] + two[name] for name in one})
    torch.testing.assert_close(joined.compute().kl, whole.compute().kl, rtol=1e-12, atol=0)


def test_saved_state_does_not_change_with_further_batches():
    parts = list(batches())
    moments = filled(parts[:1])
    state = moments.state_dict()
    before = state["sums"].clone()
    moments.update(*parts[1])
    assert torch.equal(state["sums"], before)


def test_reset_forgets_and_an_empty_epoch_is_nan():
    moments = filled(batches())
    moments.reset()
    reading = moments.compute()
    assert reading.signal_power.isnan().all()
    assert reading.active_units != reading.active_units


def test_active_units_counts_signal_and_nan_poisons_the_count():
    mu = torch.tensor([[1.0, 0.0, 0.05], [-1.0, 0.0, -0.05]])
    zeros = torch.zeros(2, 3)
    moments = TrainingMoments(3)
    moments.update(zeros, zeros, mu, zeros)
    assert moments.compute().active_units == 1
    moments.update(zeros, zeros, torch.full((2, 3), float("nan")), zeros)
    assert moments.compute().active_units != moments.compute().active_units


def test_parameters_with_gradients_are_left_alone():
    mu = torch.randn(8, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    moments = TrainingMoments(2)
    moments.update(torch.zeros(8, 2), torch.zeros(8, 2), mu * 2, mu * 0.1)
    assert not moments.sums.requires_grad


def test_dimensions_are_plain_lists():
    lists = filled(batches()).compute().dimensions
    assert set(lists) == set(VECTORS) - {"exponent"}
    assert all(isinstance(values, list) and len(values) == 4 for values in lists.values())


def test_state_of_another_width_is_refused():
    with pytest.raises(InputError, match="4 dimensions, the model 3"):
        TrainingMoments(3).load_state_dict(filled(batches()).state_dict())
