"""Proposition 2: data processing, what c is, Eq. 8, on Gaussian channels and on codes of finitely many points."""

import math

import numpy as np
import pytest

from lambda_vae.diagnostics import attenuation

STDS = [0.05, 0.2, 0.5, 0.9, 1.0]


def capacity(signal: float, std: float) -> float:
    return 0.5 * math.log1p(signal / std**2)


def information(means: np.ndarray, std: float) -> float:
    """I(X;Z) of equally likely points, by quadrature of the mixture's entropy."""
    return aggregate(means, std)[0] - 0.5 * math.log(2 * math.pi * math.e * std**2)


def aggregate(means: np.ndarray, std: float) -> tuple[float, float]:
    """Entropy of q(z), and KL(q(z) || N(0, 1))."""
    z = np.linspace(means.min() - 9 * std, means.max() + 9 * std, 20001)
    density = np.exp(-0.5 * ((z[:, None] - means) / std) ** 2).mean(1) / (std * math.sqrt(2 * math.pi))
    log_density = np.log(np.maximum(density, 1e-300))
    log_prior = -0.5 * z**2 - 0.5 * math.log(2 * math.pi)
    return -float(np.trapezoid(density * log_density, z)), float(np.trapezoid(density * (log_density - log_prior), z))


CODE = np.random.default_rng(5).normal(size=24)


def test_data_processing_holds_and_the_gap_grows_with_the_noise() -> None:
    kept = [information(CODE, std) for std in STDS]
    assert all(0 < value < math.log(len(CODE)) for value in kept)
    assert kept == sorted(kept, reverse=True)
    assert information(CODE, 1e-3) == pytest.approx(math.log(len(CODE)), abs=0.05)


@pytest.mark.parametrize("std", STDS)
def test_gaussian_channel_is_an_upper_bound_for_a_code_of_its_power(std: float) -> None:
    """Eq. 7 is exact for a normal mu(X) only: of all codes of one power a normal one gives most."""
    assert information(CODE, std) < capacity(float(CODE.var()), std) + 1e-9


@pytest.mark.parametrize("std", [0.1, 0.5, 0.9])
def test_gap_grows_at_rate_one_over_std_only_if_the_signal_gives_way(std: float) -> None:
    """A.2: d gap/d sigma = 1/sigma. At a fixed signal it is less, by S/(S + sigma^2)."""
    step = 1e-6
    giving_way = (capacity(1 - (std - step) ** 2, std - step) - capacity(1 - (std + step) ** 2, std + step)) / (
        2 * step
    )
    signal = 1 - std**2
    fixed = (capacity(signal, std - step) - capacity(signal, std + step)) / (2 * step)
    assert giving_way == pytest.approx(1 / std, rel=1e-6)
    assert fixed == pytest.approx(signal / (signal + std**2) / std, rel=1e-6)


@pytest.mark.parametrize(("signal", "std", "quotient", "slope"), [(1.0, 0.5, 0.349, 0.808), (0.1, 0.9, 0.048, 0.121)])
def test_c_is_not_what_its_approximation_gives(signal: float, std: float, quotient: float, slope: float) -> None:
    """Eq. 6 has a derivative, c = (S + s0^2)/(S + s^2); the paper puts I(X;Z)/I(X;phi) for it: less than half here."""
    path = np.array([[signal], [signal * (1 + 1e-5)]])
    found = attenuation(path, np.full_like(path, std))
    assert found.quotient.value == pytest.approx(quotient, abs=1e-3)
    assert found.slope.value == pytest.approx(slope, abs=1e-3)
    assert found.slope.value == pytest.approx((signal + 0.01) / (signal + std**2), rel=1e-4)


@pytest.mark.parametrize(("signal", "c", "tolerance"), [(1e-3, (0.1 / 0.8) ** 2, 0.1), (1e60, 1.0, 0.04)])
def test_both_readings_of_c_agree_at_either_end(signal: float, c: float, tolerance: float) -> None:
    path = np.array([[signal] * 3, [signal * 1.01] * 3])
    found = attenuation(path, np.full_like(path, 0.8))
    assert found.quotient.value == pytest.approx(c, rel=tolerance)
    assert found.slope.value == pytest.approx(c, rel=max(tolerance, 0.12))


def test_quotient_goes_to_zero_with_the_reference_noise() -> None:
    """I(X;phi) is infinite for a deterministic encoder: the quotient is a matter of sigma_0, the slope nearly not."""
    path = np.array([[1.0], [1.001]])
    found = [attenuation(path, np.full_like(path, 0.5), reference) for reference in (0.1, 1e-3, 1e-30)]
    assert [c.quotient.value for c in found] == pytest.approx([0.349, 0.1165, 0.01165], rel=1e-2)
    assert [c.slope.value for c in found] == pytest.approx([0.808, 0.8, 0.8], rel=1e-2)


@pytest.mark.parametrize("std", [0.2, 0.6, 1.0])
def test_eq_8_is_an_identity(std: float) -> None:
    mean_kl = float(0.5 * (CODE**2 + std**2 - 1 - 2 * math.log(std)).mean())
    kept = information(CODE, std)
    gap = math.log(len(CODE)) - kept
    assert aggregate(CODE, std)[1] == pytest.approx(mean_kl - kept, abs=1e-8)
    assert aggregate(CODE, std)[1] == pytest.approx(mean_kl - math.log(len(CODE)) + gap, abs=1e-8)


def test_gap_is_no_proxy_for_the_mismatch() -> None:
    """Section 3.2 calls it one by Eq. 8, whose other terms move as well: here the gap grows and the mismatch falls."""
    code = 0.7 * CODE / CODE.std()
    gaps = [math.log(len(code)) - information(code, std) for std in (0.2, 0.4, 0.7)]
    mismatches = [aggregate(code, std)[1] for std in (0.2, 0.4, 0.7)]
    assert gaps == sorted(gaps)
    assert mismatches == sorted(mismatches, reverse=True)
    assert gaps[-1] - gaps[0] > 0.5
    assert mismatches[-1] < 0.15 * mismatches[0]
