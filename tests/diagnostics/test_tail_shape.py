"""Pareto k-hat on planted tails, and against what another library says of the same numbers."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from lambda_vae.estimation.tail_shape import khat, khat_limit, pareto_shape, tail_length


@pytest.mark.parametrize("k", [-0.5, 0.0, 0.3, 0.7, 1.2])
def test_shape_of_generalised_pareto_draws_is_found(k: float) -> None:
    drawn = np.sort(stats.genpareto(k, scale=3.0).rvs((2000, 100), random_state=np.random.default_rng(0)), axis=0)
    found = pareto_shape(torch.from_numpy(drawn))
    toward_half = (2000 * k + 5) / 2010
    assert abs(float(found.mean()) - toward_half) < 4 * float(found.std()) / 10
    assert float(found.std()) < 1.2 * (1 + k) / math.sqrt(2000) + 0.01  # the asymptotic error of the best estimator


@pytest.mark.parametrize(
    ("k", "n", "by_arviz"),
    [(0.2, 30, 0.305538719176), (0.7, 57, 0.669266915692), (1.4, 213, 1.347440606052), (-0.4, 100, -0.288946610962)],
)
def test_shape_is_that_of_arviz(k: float, n: int, by_arviz: float) -> None:
    # arviz-stats 0.8.0, array_stats._gpdfit of the same quantiles
    x = stats.genpareto(k).ppf((np.arange(n) + 0.5) / n)
    assert float(pareto_shape(torch.from_numpy(x)[:, None])) == pytest.approx(by_arviz, abs=1e-9)


def planted(k: float, samples: int = 4000, examples: int = 40) -> torch.Tensor:
    """ln of Pareto weights with tail index 1/k."""
    uniform = torch.rand(samples, examples, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return -k * uniform.log()


def of(log_w: torch.Tensor) -> torch.Tensor:
    return khat(log_w.topk(tail_length(len(log_w)) + 1, 0).values, len(log_w))


@pytest.mark.parametrize("k", [0.2, 0.5, 0.9, 1.5])
def test_planted_tails_are_found_whatever_the_scale(k: float) -> None:
    log_w = planted(k)
    found = of(log_w)
    tail = tail_length(4000)
    toward_half = (tail * k + 5) / (tail + 10)
    assert float(found.mean()) == pytest.approx(toward_half, abs=4 * float(found.std()) / math.sqrt(40) + 0.01)
    torch.testing.assert_close(of(log_w - 5000.0), found, rtol=1e-6, atol=1e-6)


def test_the_rule_tells_light_from_heavy() -> None:
    limit = khat_limit(4000)
    assert (of(planted(0.3)) < limit).float().mean() > 0.95
    assert (of(planted(1.2)) >= limit).float().mean() > 0.95


def test_equal_weights_have_no_tail_and_few_weights_none_that_shows() -> None:
    assert (of(torch.full((1000, 2), -7.0)) == -torch.inf).all()
    assert of(torch.zeros(20, 2)).isnan().all()
    assert khat(torch.zeros(2, 3), 1).isnan().all()


def test_nan_in_gives_nan_out_for_that_example_alone() -> None:
    log_w = planted(0.5, examples=2)
    log_w[3, 0] = torch.nan
    assert of(log_w).isnan().tolist() == [True, False]


def test_limits_follow_the_number_of_samples() -> None:
    assert khat_limit(10**6) == khat_limit(5000) == 0.7
    assert khat_limit(100) == pytest.approx(0.5)
    assert khat_limit(1) == -math.inf
