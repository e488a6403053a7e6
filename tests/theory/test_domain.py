"""Floats and tensors, precision, the collapsed side sigma >= 1, and what bad input gets."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_vae.equalization import theory
from lambda_vae.errors import InputError

PAIRS: list[Callable[..., object]] = [
    theory.sampling_std,
    theory.gradient_amplification,
    theory.information_gain,
    theory.excess_kl,
]
properties = settings(derandomize=True, deadline=None, database=None, max_examples=60)
stds = st.floats(1e-4, 0.9999)
deltas = st.floats(1.0001, 1e4)
exponents = st.floats(1.0, 20.0)


@pytest.mark.parametrize("delta", [1.0, 0.9, 0.0, -3.0, math.nan, -math.inf])
def test_delta_out_of_range_is_refused_everywhere(delta: float) -> None:
    std, exponent = torch.tensor([0.5]), torch.tensor([2.0])
    for call in (
        lambda: theory.critical_std(delta),
        lambda: theory.joint_fixed_point(delta),
        lambda: theory.optimal_exponent(0.5, delta),
        lambda: theory.optimal_exponent(std, delta),
        lambda: theory.predicted_sampling_std(std, delta),
        lambda: theory.net_information_gain(std, exponent, delta),
        lambda: theory.predicted_capacity(3, delta),
    ):
        with pytest.raises(InputError, match=rf"delta is {delta}; it must be greater than 1"):
            call()


@pytest.mark.parametrize("std", [0.0, -0.1, math.nan])
def test_std_that_is_not_positive_is_refused(std: float) -> None:
    for formula in PAIRS:
        with pytest.raises(InputError, match=f"std is {std}; it must be positive"):
            formula(std, 2.0)
    with pytest.raises(InputError, match="std is"):
        theory.optimal_exponent(std, 1.1)


@pytest.mark.parametrize("exponent", [0.99, 0.0, -1.0, math.nan])
def test_exponent_below_one_is_refused(exponent: float) -> None:
    for formula in PAIRS:
        with pytest.raises(InputError, match=f"exponent is {exponent}; it must be at least 1"):
            formula(0.5, exponent)
    for call in (lambda: theory.attractor_std(exponent), lambda: theory.sampling_logvar(-1.0, exponent)):
        with pytest.raises(InputError, match="exponent is"):
            call()
    with pytest.raises(InputError, match="max_exponent is"):
        theory.optimal_exponent(0.5, 1.1, exponent)


def test_other_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="latent_dim is 0"):
        theory.predicted_capacity(0, 1.1)
    with pytest.raises(InputError, match="signal_power is -1"):
        theory.predicted_capacity(3, 1.1, -1.0)
    with pytest.raises(InputError, match="max_exponent is inf"):
        theory.joint_fixed_point(1.1, math.inf)


def test_not_a_number_in_a_tensor_stays_not_a_number() -> None:
    std, exponent = torch.tensor([math.nan, 0.5, -0.5]), torch.tensor([2.0, 2.0, 2.5])
    for formula in PAIRS:
        assert formula(std, exponent).isnan().tolist() == [True, False, True], formula.__name__
    assert theory.optimal_exponent(std, 1.1).isnan().tolist() == [True, False, True]
    assert theory.sampling_logvar(std[:1], exponent[:1]).isnan().all()


@pytest.mark.parametrize("std", [1.0, 1.0 + 1e-6, 1.5, 40.0])
def test_a_std_of_one_or_more_is_sampled_as_it_is(std: float) -> None:
    assert theory.sampling_std(std, 20.0) == std
    assert theory.sampling_logvar(2 * math.log(std), 20.0) == 2 * math.log(std)
    assert theory.excess_kl(std, 20.0) == 0.0
    assert theory.information_gain(std, 20.0) == 0.0
    assert theory.gradient_amplification(std, 20.0) == 1.0


@pytest.mark.parametrize("std", [1 - 1e-6, 1 - 1e-7, 1.0, 1.5])
@pytest.mark.parametrize("delta", [1.01, 3.0, 1e8])
def test_a_collapsed_dimension_gets_the_greatest_exponent(std: float, delta: float) -> None:
    assert theory.optimal_exponent(std, delta, 12.0) == 12.0
    assert theory.optimal_exponent(torch.tensor([std]), delta, 12.0).item() == 12.0
    assert theory.optimal_exponent(std, math.inf, 12.0) == 1.0


def test_a_dimension_just_short_of_collapse_follows_eq_16() -> None:
    assert theory.optimal_exponent(1 - 2e-6, 1e6) == 1.0  # ln sigma_c / ln sigma = 5e-7 / 2e-6


def test_sampling_std_at_exponent_one_is_the_same_bits() -> None:
    for dtype in (torch.float32, torch.float64):
        std = torch.rand(10_000, generator=torch.Generator().manual_seed(1), dtype=dtype) * 1.2 + 1e-6
        assert torch.equal(theory.sampling_std(std, torch.ones(10_000)), std)
        logvar = 2 * std.log()
        assert torch.equal(theory.sampling_logvar(logvar, torch.ones(10_000)), logvar)


def test_a_tensor_keeps_its_dtype_beside_a_float() -> None:
    for std in (torch.tensor(0.5), torch.tensor([0.5]), torch.tensor(0.5, dtype=torch.float64)):
        for formula in PAIRS:
            assert formula(std, 2.0).dtype == std.dtype


def test_floats_give_floats_and_tensors_give_tensors() -> None:
    std, exponent = (
        torch.tensor([[0.5], [0.9]], dtype=torch.float64),
        torch.tensor([1.0, 2.0, 9.0], dtype=torch.float64),
    )
    for formula in PAIRS:
        table = formula(std, exponent)
        assert isinstance(table, torch.Tensor)
        assert table.shape == (2, 3)
        for row, column in ((0, 1), (1, 2), (0, 0)):
            single = formula(std[row].item(), exponent[column].item())
            assert type(single) is float
            assert single == pytest.approx(table[row, column].item(), rel=1e-14)
        assert torch.equal(formula(std, 2.0), table[:, 1:2])
    assert type(theory.attractor_std(2.0)) is float
    assert type(theory.optimal_exponent(0.5, 1.1)) is float
    assert type(theory.sampling_logvar(-1.0, 2.0)) is float
    assert type(theory.predicted_capacity(3, 1.1)) is float


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_reduced_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    std, exponent = torch.tensor([0.25, 0.75]).to(dtype), torch.tensor([3.0, 5.0]).to(dtype)  # exact in every dtype
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for formula in PAIRS:
            result = formula(std, exponent)
            assert result.dtype == torch.float32
            torch.testing.assert_close(result, formula(std.double(), exponent.double()).float(), rtol=1e-6, atol=0)


def test_formulas_run_on_another_device_without_waiting_for_it() -> None:
    # On the meta device a tensor has no values, so that any look at one fails.
    std, exponent = torch.rand(4, 3, device="meta"), torch.rand(3, device="meta")
    for formula in PAIRS:
        assert formula(std, exponent).device.type == "meta"
        assert formula(std, 2.0).device.type == "meta"
    assert theory.optimal_exponent(std, 1.1).shape == (4, 3)
    assert theory.attractor_std(exponent).shape == (3,)
    assert theory.sampling_logvar(std, exponent).shape == (4, 3)


@properties
@given(std=stds, delta=deltas, other=exponents)
def test_optimal_exponent_is_in_range_and_no_other_gains_more(std: float, delta: float, other: float) -> None:
    best = theory.optimal_exponent(std, delta)
    assert 1.0 <= best <= 20.0
    gain, other_gain = (theory.net_information_gain(std, exponent, delta) for exponent in (best, other))
    assert gain >= other_gain - 1e-12 * (1 + abs(other_gain))
    assert gain >= 0.0


@properties
@given(std=stds, wider=stds, delta=deltas, dearer=deltas)
def test_optimal_exponent_grows_with_std_and_falls_with_delta(
    std: float, wider: float, delta: float, dearer: float
) -> None:
    (std, wider), (delta, dearer) = sorted((std, wider)), sorted((delta, dearer))
    assert theory.optimal_exponent(std, delta) <= theory.optimal_exponent(wider, delta)
    assert theory.optimal_exponent(std, delta) >= theory.optimal_exponent(std, dearer)


@properties
@given(std=stds, delta=deltas)
def test_sampling_at_the_optimal_exponent_caps_the_noise_at_critical_std(std: float, delta: float) -> None:
    exponent, sampled = theory.optimal_exponent(std, delta), theory.predicted_sampling_std(std, delta)
    cap = min(std, theory.critical_std(delta))
    if exponent < 20.0:
        assert sampled == pytest.approx(cap, rel=1e-11)
    else:
        assert cap * (1 - 1e-11) <= sampled <= std


@properties
@given(std=st.floats(1e-4, 3.0), exponent=exponents, greater=exponents)
def test_more_exponent_means_less_noise_more_information_and_more_kl(
    std: float, exponent: float, greater: float
) -> None:
    exponent, greater = sorted((exponent, greater))
    assert theory.sampling_std(std, greater) <= theory.sampling_std(std, exponent) <= std
    assert theory.information_gain(std, greater) >= theory.information_gain(std, exponent) >= 0.0
    assert theory.excess_kl(std, greater) >= theory.excess_kl(std, exponent) * (1 - 1e-12) >= 0.0
    assert theory.excess_kl(std, greater) <= theory.information_gain(std, greater) * (1 + 1e-12)  # as delta -> 1


@properties
@given(std=st.floats(1e-4, 3.0), exponent=exponents)
def test_sampling_logvar_is_the_log_of_sampling_variance(std: float, exponent: float) -> None:
    logvar = theory.sampling_logvar(2 * math.log(std), exponent)
    assert math.exp(0.5 * logvar) == pytest.approx(theory.sampling_std(std, exponent), rel=1e-10)


@properties
@given(exponent=exponents, greater=exponents)
def test_attractor_std_grows_from_one_over_e_towards_one(exponent: float, greater: float) -> None:
    exponent, greater = sorted((exponent, greater))
    narrow, wide = theory.attractor_std(exponent), theory.attractor_std(greater)
    assert math.exp(-1) * (1 - 1e-14) <= narrow <= wide * (1 + 1e-14) < 1.0


@properties
@given(delta=st.floats(1.0 + 1e-9, 1e6))
def test_joint_fixed_point_is_a_fixed_point(delta: float) -> None:
    exponent, std = theory.joint_fixed_point(delta)
    assert theory.optimal_exponent(std, delta) == pytest.approx(exponent, rel=1e-8)
    assert theory.attractor_std(exponent) == std


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("exponent", [1.0, 1.0001, 1.5, 2.0, 7.0, 20.0])
def test_narrowing_is_a_power_with_finite_gradients_and_exactly_one_where_nothing_narrows(
    dtype: torch.dtype, exponent: float
) -> None:
    std = torch.tensor([0.0, 1e-42, 1e-20, 1e-3, 0.5, 0.99, 1.0, 1.5, math.inf], dtype=dtype).requires_grad_()
    factor = theory.narrowing(std, exponent)
    (gradient,) = torch.autograd.grad(factor.sum(), std)
    assert factor.dtype == torch.promote_types(dtype, torch.float32)
    assert bool(gradient.isfinite().all())
    assert factor[6:].tolist() == [1.0] * 3
    assert gradient[6:].tolist() == [0.0] * 3
    if exponent == 1.0:
        assert factor.tolist() == [1.0] * 9
        return
    inside = std.detach().double()[3:6]
    expected = inside ** (exponent - 1)
    torch.testing.assert_close(factor.detach().double()[3:6], expected, rtol=3e-5, atol=1e-38)
    slope = (exponent - 1) * inside ** (exponent - 2)
    torch.testing.assert_close(gradient.double()[3:6], slope, rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("exponent", [1.0, 1.5, 3.0, 20.0])
def test_narrowing_of_the_logarithm_is_that_of_sigma(exponent: float) -> None:
    log_std = torch.tensor([-math.inf, -80.0, -3.0, -0.5, -1e-3, 0.5, 9.0], dtype=torch.float64).requires_grad_()
    std = log_std.detach().exp().float().double().requires_grad_()
    ours, theirs = theory.narrowing_of_log(log_std, exponent), theory.narrowing(std, exponent)
    torch.testing.assert_close(ours[2:], theirs[2:], rtol=1e-5, atol=1e-30)
    (slope,), (other,) = (torch.autograd.grad(one.sum(), of) for one, of in ((ours, log_std), (theirs, std)))
    assert bool(slope.isfinite().all())
    torch.testing.assert_close(slope[2:], (other * std)[2:], rtol=1e-5, atol=1e-30)  # d/d ln sigma is sigma d/d sigma
    assert exponent > 1.0 or ours.tolist() == [1.0] * 7


def test_a_narrowed_draw_is_the_sample_of_eq_9_and_has_its_gradient() -> None:
    generator = torch.Generator().manual_seed(3)
    mu, eps = torch.randn(2, 50, 4, generator=generator, dtype=torch.float64)
    exponent = torch.tensor([1.0, 1.3, 2.0, 9.0], dtype=torch.float64)
    gradients = []
    for narrowed in (True, False):
        std = torch.rand(50, 4, generator=generator.manual_seed(4), dtype=torch.float64).mul(1.3).requires_grad_()
        z = mu + std * eps
        z = (
            mu + theory.narrowing(std, exponent) * (z - mu)
            if narrowed
            else mu + theory.sampling_std(std, exponent) * eps
        )
        gradients.append((z.detach(), *torch.autograd.grad(z.square().sum(), std)))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
