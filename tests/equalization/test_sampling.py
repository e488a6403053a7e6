"""The sampling steps: the paper's, and the ablations that take it apart."""

import math

import pytest
import torch
from torch import Tensor

from lambda_vae.equalization import (
    DetachedExponent,
    Equalized,
    FixedNoise,
    NoiseClamp,
    Sampling,
    critical_std,
    gradient_amplification,
    optimal_exponent,
    sampling_std,
)
from lambda_vae.errors import InputError

DELTA = 1.19
STD = torch.tensor([0.05, 0.3, 0.5, 0.8, 0.999, 1.2], dtype=torch.float64)
EXPONENT = torch.tensor([1.0, 1.5, 2.0, 4.0, 20.0, 3.0], dtype=torch.float64)
RULES = [Equalized(), DetachedExponent(), NoiseClamp(DELTA), FixedNoise(DELTA)]


def noise(rule: Sampling, std: Tensor = STD, exponent: Tensor | None = EXPONENT) -> Tensor:
    return torch.exp(0.5 * rule.logvar(2 * std.log(), exponent))


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_is_a_value_that_keeps_shape_and_dtype(rule: Sampling) -> None:
    assert isinstance(rule, Sampling)
    assert eval(repr(rule)) == rule
    for dtype in (torch.float32, torch.float64):
        logvar = (2 * STD.log()).to(dtype).expand(3, -1)
        sampled = rule.logvar(logvar, EXPONENT.to(dtype))
        assert sampled.shape == logvar.shape
        assert sampled.dtype == rule.amplification(STD.to(dtype), EXPONENT.to(dtype)).dtype == dtype


@pytest.mark.parametrize("exponent", [None, EXPONENT], ids=["no exponent", "exponent"])
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_amplification_is_the_derivative_of_the_noise(rule: Sampling, exponent: Tensor | None) -> None:
    std = STD.clone().requires_grad_()
    sampled = noise(rule, std, exponent)
    slope = torch.zeros_like(std)
    if sampled.requires_grad:
        slope = torch.autograd.grad(sampled.sum(), std)[0]
    torch.testing.assert_close(rule.amplification(STD, exponent), slope, rtol=1e-10, atol=1e-12)


def test_equalized_is_the_theory_and_nothing_at_all_without_an_exponent() -> None:
    torch.testing.assert_close(noise(Equalized()), sampling_std(STD, EXPONENT), rtol=1e-12, atol=0)
    torch.testing.assert_close(
        Equalized().amplification(STD, EXPONENT), gradient_amplification(STD, EXPONENT), rtol=0, atol=0
    )
    logvar = 2 * STD.log()
    assert Equalized().logvar(logvar, None) is logvar
    assert DetachedExponent().logvar(logvar, None) is logvar


def test_detached_has_the_noise_of_lambda_without_its_gradient() -> None:
    torch.testing.assert_close(noise(DetachedExponent()), noise(Equalized()), rtol=0, atol=0)
    assert (DetachedExponent().amplification(STD, EXPONENT) == 0).all()


def test_clamp_is_what_the_optimal_exponent_leaves() -> None:
    """Eq. 30: sigma to the power lambda* is min(sigma, sigma_c), for every sigma below 1."""
    below = STD[STD < 1]
    by_exponent = noise(Equalized(), below, optimal_exponent(below, DELTA, max_exponent=1e9))
    torch.testing.assert_close(noise(NoiseClamp(DELTA), below, None), by_exponent, rtol=1e-9, atol=0)


def test_fixed_noise_is_sigma_c_whatever_sigma() -> None:
    torch.testing.assert_close(noise(FixedNoise(DELTA)), torch.full_like(STD, critical_std(DELTA)))


def test_without_a_cap_the_clamp_is_the_plain_vae() -> None:
    logvar = 2 * STD.log()
    assert NoiseClamp(math.inf).logvar(logvar, None) is logvar
    assert (NoiseClamp(math.inf).amplification(STD, None) == 1).all()


@pytest.mark.parametrize("rule", [NoiseClamp, FixedNoise])
def test_bad_delta_is_refused_when_the_rule_is_made(rule: type) -> None:
    with pytest.raises(InputError, match=r"delta is 1.0; it must be greater than 1"):
        rule(1.0)
