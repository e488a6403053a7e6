"""alpha: exact power laws, its standard error against repetition, scipy's slope, and what cannot be fitted."""

import math

import numpy as np
import pytest
from scipy import stats

from lambda_vae.diagnostics import decay_exponent
from lambda_vae.diagnostics.decay import cluster_slope


def cloud(alpha: float, rng: np.random.Generator, dims: int = 20, epochs: int = 15):
    """A power law; each dimension has its own scale and its own range, so that its epochs err together."""
    u = np.geomspace(0.01, 0.1, epochs) * np.exp(rng.uniform(0, 0.6, (dims, 1)))
    own = 0.3 * rng.normal(size=(dims, 1)) + 0.3 * rng.normal(size=(dims, 1)) * np.log(u / 0.03)
    g = 2 * u**alpha * np.exp(own + 0.05 * rng.normal(size=u.shape))
    return u.ravel(), g.ravel(), np.repeat(np.arange(dims), epochs)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 2.0, 6.0])
def test_a_power_law_gives_its_exponent_and_scale(alpha):
    u = np.tile(np.geomspace(0.005, 0.19, 8), 6)
    fit = decay_exponent(u, 0.7 * u**alpha, np.repeat(np.arange(6), 8))
    assert fit.alpha.value == pytest.approx(alpha, abs=1e-10)
    assert fit.scale == pytest.approx(0.7, rel=1e-10)
    assert (fit.points, fit.dimensions, fit.nearest) == (48, 6, 0.005)


def test_a_balance_of_forces_has_no_excess_though_its_slope_is_above_one():
    u = np.tile(np.geomspace(0.005, 0.19, 8), 6)
    fit = decay_exponent(u, 1 / (1 - u) - (1 - u), np.repeat(np.arange(6), 8))
    assert 1.0 < fit.alpha.value < 1.06
    assert fit.excess.value == pytest.approx(0.0, abs=1e-12)
    assert fit.regime == "alpha = 1"


def test_standard_error_is_the_scatter_over_repetitions():
    rng = np.random.default_rng(0)
    fits = [decay_exponent(*cloud(1.5, rng)) for _ in range(300)]
    slopes = np.array([fit.alpha.value for fit in fits])
    claimed = math.sqrt(np.mean([fit.alpha.stderr**2 for fit in fits]))
    assert abs(slopes.mean() - 1.5) < 4 * slopes.std() / math.sqrt(300)
    assert claimed == pytest.approx(slopes.std(), rel=0.15)
    naive = np.mean([stats.linregress(np.log(u), np.log(g)).stderr for u, g, _ in (cloud(1.5, rng) for _ in range(50))])
    assert naive < 0.6 * slopes.std()  # what independent epochs would claim


def test_slope_is_that_of_scipy():
    u, g, who = cloud(1.2, np.random.default_rng(1))
    found, other = cluster_slope(np.log(u), np.log(g), who), stats.linregress(np.log(u), np.log(g))
    assert (found[0], found[2]) == pytest.approx((other.slope, other.intercept), rel=1e-10)


@pytest.mark.parametrize(("alpha", "regime"), [(2.0, "alpha > 1"), (0.3, "alpha < 1")])
def test_regimes(alpha, regime):
    assert decay_exponent(*cloud(alpha, np.random.default_rng(2))).regime == regime


def test_points_beyond_the_range_do_not_count():
    u, g, who = cloud(1.5, np.random.default_rng(3))
    more = np.concatenate((u, [0.5, 0.001, -0.01, 0.05, 0.05]))
    odd = np.concatenate((g, [99.0, 99.0, 99.0, np.nan, 0.0]))
    fit = decay_exponent(more, odd, np.concatenate((who, [0, 1, 2, 3, 4])), nearest=0.005)
    assert fit.alpha == decay_exponent(u, g, who).alpha


def test_what_cannot_be_fitted_says_why():
    u, g, who = cloud(1.5, np.random.default_rng(4))
    few = decay_exponent(u[:10], g[:10], who[:10])
    one = decay_exponent(u[:15], g[:15], who[:15])
    narrow = decay_exponent(0.05 + 0.01 * u, g, who)
    far = decay_exponent(u, g, who, nearest=0.1)
    none = decay_exponent(*np.zeros((2, 0)), np.zeros(0, dtype=int))
    for fit, reason in (
        (few, "only 10 epochs of 1 dim"), (one, "only 15 epochs"), (narrow, "spans only"), (far, "came to rest"),
        (none, "only 0 epochs"),
    ):  # fmt: skip
        assert math.isnan(fit.alpha.value)
        assert math.isnan(fit.alpha.stderr)
        assert reason in fit.alpha.reason
        assert fit.regime == ""
        assert fit.to_record()["alpha"]["value"] is None
