"""The numbers of Figures 1 and 2 against other ways to them."""

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.optimize import brentq
from scipy.stats import norm

from lambda_vae.paper import FIGURES
from lambda_vae.paper.figure1 import channel_information, decay_ratio
from lambda_vae.paper.figure2 import attraction_path

STD = np.linspace(0.01, 0.99, 50)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.5])
def test_decay_ratio_is_the_gradient_over_the_force(alpha):
    assert decay_ratio(STD, alpha, 3.0) == pytest.approx(3.0 * (1 - STD) ** alpha / (1 / STD - STD), rel=1e-12)


def test_channel_information_is_the_mutual_information_of_two_gaussians():
    signal, std = 1.5, 0.7
    spread = np.sqrt(signal + std**2)
    entropy = quad(lambda z: -norm.pdf(z, 0, spread) * norm.logpdf(z, 0, spread), -12 * spread, 12 * spread)[0]
    assert channel_information(np.array([std]), signal)[0] == pytest.approx(entropy - norm(0, std).entropy(), abs=1e-9)


def test_channel_information_is_what_a_simulation_finds():
    random, signal, std, n = np.random.default_rng(0), 1.5, 0.7, 200_000
    mu = random.normal(0, np.sqrt(signal), n)
    z = mu + std * random.standard_normal(n)
    told = norm.logpdf(z, mu, std) - norm.logpdf(z, 0, np.sqrt(signal + std**2))
    error = told.std() / np.sqrt(n)
    assert channel_information(np.array([std]), signal)[0] == pytest.approx(told.mean(), abs=4 * error)


@pytest.mark.parametrize("exponent", [1.5, 2.0, 7.33])
@pytest.mark.parametrize("start", [0.1, 0.65, 0.9])
def test_attraction_path_solves_its_equation(exponent, start):
    times = np.linspace(0, 6, 30)
    solved = solve_ivp(lambda _, s: s - exponent * s**exponent, (0, 6), [start], t_eval=times, rtol=1e-11, atol=1e-13)
    assert attraction_path(times, start, exponent) == pytest.approx(solved.y[0], abs=1e-8)


def test_figure_1_says_where_ratios_go():
    record = FIGURES["figure1"].numbers({})
    by_alpha = {line["alpha"]: line for line in record["ratios"]}
    assert by_alpha[1.0]["at_collapse"] == pytest.approx(record["g0"] / 2, rel=1e-6)
    assert by_alpha[2.0]["at_collapse"] < 1e-8
    assert by_alpha[0.5]["at_collapse"] > 1e4
    # alpha = 2: s (1 - s) / (1 + s) is highest at sqrt(2) - 1
    assert by_alpha[2.0]["g0_of_an_active_state"] == pytest.approx(3 + 2 * np.sqrt(2), rel=1e-6)
    crossing = brentq(lambda s: 2 * s / ((1 + s) * np.sqrt(1 - s)) - 1, 0.1, 0.9)
    assert by_alpha[0.5]["crosses_one_at"] == pytest.approx(crossing, abs=1e-5)
    assert record["information_at_collapse"] == pytest.approx(0.5 * np.log(2.5))


def test_figure_2_balances_the_whole_gradient():
    record = FIGURES["figure2"].numbers({})
    for pull, std in zip(record["pulls"], record["balance"], strict=True):
        assert std == pytest.approx((1 - 2 * pull) ** -0.5)  # 2 s g + 1/s - s = 0
    assert record["rates"] == pytest.approx([1.0] * 6, abs=1e-3)
