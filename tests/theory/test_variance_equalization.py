"""What sharing an exponent equalizes, and what it does not: Eq. 12, 13 and 16 beyond their assumptions."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from lambda_vae.equalization import theory


def settle(field: Callable[[float], float], start: float, until: float = 30.0) -> float:
    """Where a start ends."""
    solved = solve_ivp(lambda _, y: [field(float(y[0]))], (0, until), [start], rtol=1e-8, atol=1e-10)
    return float(solved.y[0, -1])


def correction(s: float, delta: float) -> float:
    """Eq. 21 over |g|, with the exponent of Eq. 16; in plain numbers, for a solver that asks a thousand times."""
    exponent = min(max(1.0, 0.5 * math.log(1 - 1 / delta) / math.log(s)), 20.0)
    return s - exponent * s**exponent


def test_correction_is_written_as_the_library_has_it() -> None:
    for s in (0.05, 0.3, 0.73, 0.95):
        exponent = theory.optimal_exponent(s, 1.01)
        assert correction(s, 1.01) == pytest.approx(s * (1 - theory.gradient_amplification(s, exponent)), rel=1e-12)


@pytest.mark.parametrize("start", [0.15, 0.4, 0.7, 0.9, 0.999])
def test_correction_with_the_exponent_of_eq_16_draws_to_the_joint_fixed_point(start: float) -> None:
    """The dimensions need not share lambda from the start: Eq. 16 brings them to one pair, for delta below 1.157."""
    end = settle(lambda s: correction(s, 1.01), start)
    exponent, std = theory.joint_fixed_point(1.01)
    assert end == pytest.approx(std, abs=1e-6)
    assert theory.optimal_exponent(end, 1.01) == pytest.approx(exponent, rel=1e-4)


def test_correction_with_the_exponent_of_eq_16_has_no_fixed_point_at_a_greater_delta() -> None:
    stds = np.linspace(theory.critical_std(1.19) + 1e-3, 0.9, 100)
    assert all(correction(s, 1.19) < 0 for s in stds)  # all are drawn to sigma_c, where lambda = 1


# The whole gradient, Eq. 11, in a linear-Gaussian model: g = -h sigma^lambda at the noise that is sampled ------------


def equilibrium(information: float, exponent: float) -> float:
    """Where lambda h sigma^(2 lambda) = 1 - sigma^2."""
    return float(brentq(lambda s: exponent * information * s ** (2 * exponent) + s * s - 1, 1e-9, 1, xtol=1e-14))


@pytest.mark.parametrize("exponent", [1.0, 2.0, 7.33])
@pytest.mark.parametrize("information", [0.5, 4.0, 100.0])
def test_equilibrium_of_eq_11_is_reached_from_everywhere(exponent: float, information: float) -> None:
    def gradient(log_std: float) -> float:  # with respect to ln sigma, where it has no pole
        s = math.exp(min(log_std, 1.0))
        return 1 - s * s - exponent * information * s ** (2 * exponent)

    for start in (0.05, 0.5, 0.99):
        end = math.exp(settle(gradient, math.log(start)))
        assert end == pytest.approx(equilibrium(information, exponent), rel=1e-6)
        pull = information * theory.sampling_std(end, exponent) * theory.gradient_amplification(end, exponent)
        assert pull == pytest.approx(1 / end - end, rel=1e-5)
    if exponent == 1.0:
        assert equilibrium(information, 1.0) == pytest.approx(1 / math.sqrt(1 + information), rel=1e-9)


def test_attractor_of_eq_13_is_not_where_training_ends() -> None:
    """Eq. 21 is the difference of two gradients, not a gradient. What it gives: sigmas closer together, not equal."""
    few, much = 1.0, 100.0
    spread = {e: equilibrium(few, e) / equilibrium(much, e) for e in (1.0, 2.0, 5.0, 20.0)}
    assert spread[1.0] == pytest.approx(math.sqrt(101 / 2), rel=1e-9)  # 7.1
    assert spread[2.0] == pytest.approx(2.71, abs=0.01)
    assert spread[5.0] == pytest.approx(1.49, abs=0.01)
    assert spread[20.0] == pytest.approx(1.10, abs=0.01)
    for information, std in ((few, 0.707), (much, 0.261)):
        assert equilibrium(information, 2.0) == pytest.approx(std, abs=1e-3)
        assert abs(equilibrium(information, 2.0) - theory.attractor_std(2.0)) > 0.2


@pytest.mark.parametrize("exponent", [1.0, 2.0, 20.0])
def test_a_dimension_the_decoder_ignores_collapses_at_rate_two_whatever_the_exponent(exponent: float) -> None:
    """lambda scales g; where g is 0, sigma = 1 stays the stable point. It is woken while there is still some g."""
    times = np.linspace(0, 3, 50)
    path = solve_ivp(lambda _, s: 1 / s - s, (0, 3), [0.999], t_eval=times, rtol=1e-12, atol=1e-15).y[0]
    assert np.polyfit(times, np.log(1 - path), 1)[0] == pytest.approx(-2, rel=2e-3)
    weak = 1e-6
    assert 1 - equilibrium(weak, exponent) == pytest.approx(exponent * weak / 2, rel=1e-3)


# Assumptions ---------------------------------------------------------------------------------------------------------


def exact_gain(signal: float, std: float, exponent: float) -> float:
    """I(X; Z_lambda) - I(X; Z_1) of a Gaussian channel."""
    return 0.5 * math.log1p(signal / std ** (2 * exponent)) - 0.5 * math.log1p(signal / std**2)


@pytest.mark.parametrize(
    ("std", "exponent", "claimed", "true"),
    [(0.1, 2.0, 2.303, 2.298), (0.5, 2.0, 0.693, 0.589), (0.73, 7.33, 1.992, 1.622), (0.9, 20.0, 2.002, 1.209)],
)
def test_eq_12_claims_more_than_a_gaussian_channel_gains(
    std: float, exponent: float, claimed: float, true: float
) -> None:
    """H[Z] = H[Z_lambda] is off by 1/2 ln((S + s^2)/(S + s^2lambda)); here q_1 matches the prior, S = 1 - s^2."""
    signal = 1 - std**2
    assert theory.information_gain(std, exponent) == pytest.approx(claimed, abs=1e-3)
    assert exact_gain(signal, std, exponent) == pytest.approx(true, abs=1e-3)
    entropy_lost = 0.5 * math.log(1 / (signal + std ** (2 * exponent)))
    assert claimed - true == pytest.approx(entropy_lost, abs=2e-3)


def test_eq_12_is_worst_for_a_collapsed_dimension() -> None:
    """No signal, no gain: Eq. 12 still promises (lambda - 1)|ln sigma|."""
    assert theory.information_gain(0.95, 20.0) == pytest.approx(0.975, abs=1e-3)
    assert exact_gain(0.0, 0.95, 20.0) == 0.0
    assert exact_gain(0.001, 0.95, 20.0) < 0.004


def test_gap_is_not_closed_at_exponent_two() -> None:
    """Section 4.2: Delta I_lambda = Delta I_1 (2 - lambda). True of -ln sigma, not of the gap to a code of N points."""
    points = np.linspace(-1.5, 1.5, 40)  # I(X; phi) = ln 40
    gaps = [math.log(40) - mixture_information(points, 0.5**exponent) for exponent in (1.0, 2.0, 3.0)]
    assert gaps[0] > gaps[1] > gaps[2] > 1.0
    assert gaps[1] > 0.7 * gaps[0]


def mixture_information(means: np.ndarray, std: float) -> float:
    """I(X;Z) of N equally likely points, by quadrature."""
    z = np.linspace(means.min() - 9 * std, means.max() + 9 * std, 40001)
    density = np.exp(-0.5 * ((z[:, None] - means) / std) ** 2).mean(1) / (std * math.sqrt(2 * math.pi))
    entropy = -np.trapezoid(np.where(density > 0, density * np.log(np.maximum(density, 1e-300)), 0.0), z)
    return float(entropy - 0.5 * math.log(2 * math.pi * math.e * std**2))


@pytest.mark.parametrize(("mean", "spread", "factor"), [(0.5, 0.02, 1.15), (0.8, 0.1, 3.7), (0.9, 0.05, 3.4)])
def test_one_exponent_for_all_examples_caps_the_noise_on_average_only(
    mean: float, spread: float, factor: float
) -> None:
    """Eq. 16 takes the mean sigma; where sigma(x) scatters, an example one deviation off gets lambda times that."""
    exponent = theory.optimal_exponent(mean, 1.01, 1e6)
    assert theory.sampling_std(mean, exponent) == pytest.approx(theory.critical_std(1.01), rel=1e-9)
    wider = theory.sampling_std(mean + spread, exponent) / theory.critical_std(1.01)
    assert wider == pytest.approx((1 + spread / mean) ** exponent, rel=1e-9)
    assert wider == pytest.approx(factor, rel=0.1)


def test_the_greatest_exponent_ends_the_limit_delta_to_one() -> None:
    """Section 4.4: delta -> 1+ tends to a deterministic autoencoder. With lambda_max = 20, only below a sigma."""
    for delta in (1.001, 1 + 1e-6, 1 + 1e-12):
        assert theory.predicted_sampling_std(0.99, delta) == pytest.approx(0.99**20, rel=1e-12)
        assert theory.predicted_sampling_std(0.99, delta, 1e9) == pytest.approx(theory.critical_std(delta), rel=1e-6)
