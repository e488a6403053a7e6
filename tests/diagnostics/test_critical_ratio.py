"""rho_crit: known thresholds, other libraries' scores, honest errors, and the cases where there is none."""

import math

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from lambda_vae.diagnostics import critical_ratio


def mixture(rng, n=300, apart=2.0, share=0.7):
    active = rng.random(n) < share
    return np.where(active, apart, 0.0) + rng.normal(size=n), active, np.repeat(np.arange(n // 30), 30)


def test_threshold_separates_and_knows_its_gap():
    ratio = np.array([0.9, 0.2, 0.1, 0.95, 0.3])
    found = critical_ratio(ratio, ratio > 0.5, np.arange(5), np.random.default_rng(0))
    assert (found.threshold.value, found.low, found.high) == (pytest.approx(0.6), 0.3, 0.9)
    assert found.accuracy.value == found.balanced.value == found.auc.value == 1.0
    assert found.threshold.stderr >= 0.6 / math.sqrt(12)
    assert found.accuracy.stderr > 0.1  # five of five is no certainty
    assert (found.active, found.collapsed, found.majority) == (2, 3, 0.6)


def test_scores_are_those_of_scikit_learn():
    ratio, active, group = mixture(np.random.default_rng(1))
    ratio = ratio.round(1)  # with ties
    found = critical_ratio(ratio, active, group, np.random.default_rng(0))
    called = ratio >= found.threshold.value
    assert found.auc.value == pytest.approx(roc_auc_score(active, ratio), rel=1e-12)
    assert found.balanced.value == pytest.approx(balanced_accuracy_score(active, called), rel=1e-12)
    assert found.accuracy.value == pytest.approx((called == active).mean(), rel=1e-12)
    best = max(balanced_accuracy_score(active, ratio >= t) for t in np.unique(ratio))
    assert found.balanced.value == pytest.approx(best, rel=1e-12)


def test_accuracy_is_what_two_normals_allow_and_errors_are_the_scatter():
    rng = np.random.default_rng(2)
    found = [critical_ratio(*mixture(rng, 600, 2.0, 0.5), rng) for _ in range(40)]
    for name, true in (("threshold", 1.0), ("balanced", 0.8413), ("left_out", 0.8413)):
        values = np.array([getattr(f, name).value for f in found])
        claimed = math.sqrt(np.mean([getattr(f, name).stderr ** 2 for f in found]))
        optimism = 0.02 if name == "balanced" else 0.005
        assert abs(values.mean() - true) < 4 * values.std() / math.sqrt(40) + optimism, name
        assert 0.6 < claimed / values.std() < 1.7, name


def test_rare_kind_counts_as_much_as_the_common_one():
    rng = np.random.default_rng(3)
    ratio, active, group = mixture(rng, 900, 2.0, 0.95)
    found = critical_ratio(ratio, active, group, rng)
    assert found.threshold.value == pytest.approx(1.0, abs=0.5)
    assert found.accuracy.value < found.majority  # calling all active would do better, and know nothing


def test_ratios_that_are_not_finite_are_left_out():
    ratio = np.array([0.1, np.nan, 0.9, np.inf])
    found = critical_ratio(ratio, np.array([False, False, True, False]), np.arange(4), np.random.default_rng(0))
    assert (found.active, found.collapsed) == (1, 1)


def test_same_generator_same_numbers():
    data = mixture(np.random.default_rng(4))
    first, second = (critical_ratio(*data, np.random.default_rng(7)).to_record() for _ in range(2))
    assert first == second


def test_where_there_is_no_threshold_it_says_why():
    nothing, rng = np.zeros(3, dtype=bool), np.random.default_rng(0)
    cases = {
        "all 3 dimensions are collapsed": (np.arange(3.0), nothing),
        "all 3 dimensions are active": (np.arange(3.0), ~nothing),
        "no dimension has a ratio": (np.full(3, np.nan), nothing),
        "no smaller ratio than active ones (AUC 0.00)": (np.arange(3.0), np.array([True, True, False])),
        "(AUC 0.50)": (np.ones(3), np.array([True, True, False])),
    }
    for reason, (ratio, active) in cases.items():
        found = critical_ratio(ratio, active, np.arange(3), rng)
        assert reason in found.threshold.reason
        assert not found.threshold.known
        assert not found.accuracy.known
        assert found.to_record()["threshold"]["value"] is None


def test_errors_of_a_single_group_are_not_known():
    found = critical_ratio(np.arange(4.0), np.arange(4) > 1, np.zeros(4, dtype=int), np.random.default_rng(0))
    assert found.threshold.value == 1.5
    assert math.isnan(found.threshold.stderr)
    assert "at least two others" in found.left_out.reason
