"""Where sigma goes: the correction d sigma/dt = sigma - lambda sigma^lambda attracts to Eq. 13."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from lambda_vae.equalization import theory


def trajectory(start: float, exponent: float, times: np.ndarray) -> np.ndarray:
    solution = solve_ivp(
        lambda _, std: std - exponent * std**exponent,
        (times[0], times[-1]),
        [start],
        t_eval=times,
        rtol=1e-11,
        atol=1e-14,
    )
    return solution.y[0]


@pytest.mark.parametrize("exponent", [1.5, 2.0, 5.0, 20.0])
@pytest.mark.parametrize("start", [0.10, 0.20, 0.35, 0.65, 0.80, 0.90])
def test_attractor_draws_every_start_monotonically(start: float, exponent: float) -> None:
    stds = trajectory(start, exponent, np.linspace(0, 40, 200))
    attractor = theory.attractor_std(exponent)
    distance = np.abs(stds - attractor)
    assert distance[-1] < 1e-6
    assert (np.diff(distance) <= 1e-9).all()
    assert (np.sign(stds - attractor)[distance > 1e-6] == np.sign(start - attractor)).all()


@pytest.mark.parametrize("exponent", [1.2, 2.0, 7.33])
@pytest.mark.parametrize("side", [-1, 1])
def test_attractor_is_approached_at_rate_exponent_minus_one(exponent: float, side: int) -> None:
    attractor = theory.attractor_std(exponent)
    times = np.linspace(0, 2 / (exponent - 1), 20)
    distance = np.abs(trajectory(attractor * (1 + side * 1e-4), exponent, times) - attractor)
    rate = np.polyfit(times, np.log(distance), 1)[0]
    assert rate == pytest.approx(1 - exponent, rel=1e-3)  # the quadratic term is 1e-4 of the linear one times lambda


@pytest.mark.parametrize("exponent", [1.5, 2.0, 7.33])
def test_correction_of_eq_21_attracts_where_g_is_negative_and_repels_where_it_is_positive(exponent: float) -> None:
    attractor = theory.attractor_std(exponent)
    for g, direction in ((-1.0, 1), (1.0, -1)):  # the loss is raised: sigma follows the sign of the gradient
        below, above = ((exponent * std**exponent - std) * g for std in (0.9 * attractor, min(1.1 * attractor, 0.999)))
        assert math.copysign(1, below) == direction
        assert math.copysign(1, above) == -direction


def test_without_an_exponent_nothing_is_drawn_anywhere() -> None:
    times = np.linspace(0, 5, 10)
    assert trajectory(0.3, 1.0, times) == pytest.approx(0.3, abs=1e-12)
