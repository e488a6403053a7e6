"""c: closed forms, its error over dimensions, and what has no share to speak of."""

import math

import numpy as np
import pytest

from lambda_vae.diagnostics import attenuation
from lambda_vae.errors import InputError


def test_quotient_is_that_of_the_capacities():
    signal, noise = np.array([[0.5, 1.0, 0.002]] * 3), np.array([[0.3, 0.5, 0.9]] * 3)
    c = attenuation(signal, noise)
    through, encoded = (0.5 * np.log1p(signal[-1] / n**2) for n in (noise[-1], 0.1))
    assert c.quotient.value == pytest.approx(through.sum() / encoded.sum(), rel=1e-12)
    assert c.active.value == pytest.approx(through[:2].sum() / encoded[:2].sum(), rel=1e-12)
    assert c.collapsed.value == pytest.approx(through[2] / encoded[2], rel=1e-12)
    assert (c.through, c.encoded) == pytest.approx((through.sum(), encoded.sum()), rel=1e-12)


def test_error_is_the_scatter_over_draws_of_dimensions():
    rng = np.random.default_rng(0)

    def one():
        signal, noise = np.exp(rng.normal(-1, 0.7, (2, 60))), rng.uniform(0.1, 0.9, (1, 60)).repeat(2, 0)
        return attenuation(signal, noise)

    found = [one() for _ in range(300)]
    for name in ("quotient", "slope"):
        values = [getattr(c, name).value for c in found]
        claimed = math.sqrt(np.mean([getattr(c, name).stderr ** 2 for c in found]))
        assert claimed == pytest.approx(np.std(values), rel=0.2), name


def test_slope_is_the_derivative_where_only_the_signal_moves():
    signal = 0.4 * np.exp(1e-3 * np.arange(20))[:, None].repeat(3, 1)
    c = attenuation(signal, np.full_like(signal, 0.5))
    mid = signal[10, 0]
    assert c.slope.value == pytest.approx((mid + 0.01) / (mid + 0.25), rel=1e-3)


def test_what_has_no_share_says_why():
    nothing = attenuation(np.zeros((3, 4)), np.ones((3, 4)))
    assert "a share of nothing" in nothing.quotient.reason
    assert "did not change" in nothing.slope.reason
    assert "a share of nothing" in nothing.active.reason
    sharp = attenuation(np.ones((2, 4)), np.full((2, 4), 0.05))
    assert math.isnan(sharp.quotient.value)
    assert sharp.quotient.reason == "4 of 4 dimensions get less noise than sigma_0 = 0.1; give a smaller reference"
    assert attenuation(np.ones((2, 4)), np.full((2, 4), 0.05), 0.01).quotient.known
    marked = attenuation(np.ones((2, 2)), np.array([[0.05, 0.9]] * 2))
    assert marked.quotient.known
    assert marked.quotient.reason == "1 of 2 dimensions get less noise than sigma_0 = 0.1"
    broken = attenuation(np.full((2, 2), np.nan), np.ones((2, 2)))
    assert not broken.quotient.known
    with pytest.raises(InputError, match="the reference noise is 0"):
        attenuation(np.ones((2, 2)), np.ones((2, 2)), 0.0)
