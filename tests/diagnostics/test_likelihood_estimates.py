import pytest
import torch
from linear_gaussian import draw, equalized, exact_nll, linear_vae, loadings

from lambda_vae.errors import InputError
from lambda_vae.estimation.likelihood import (
    LogWeights,
    importance_estimates,
    likelihood_features,
    likelihood_readings,
)
from lambda_vae.estimation.moments import moments_of

WEIGHTS = loadings([8.0, 3.0, 1.0])


def features(vae, x, exponent=None, samples=16, seed=0, **options):
    with torch.no_grad():
        q = vae.encode(x)
    return likelihood_features(equalized(vae, exponent), x, q, samples, torch.Generator().manual_seed(seed), **options)


def test_exact_posterior_gives_the_exact_likelihood():
    x = draw(WEIGHTS, 50)
    got = features(linear_vae(WEIGHTS), x)
    # every weight is p(x) itself; samples and weights pass through float64
    torch.testing.assert_close(got["nll_iw.q"][:, 0], exact_nll(WEIGHTS, x), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(got["ess.q"], torch.full((50, 1), 16.0).double(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("exponent", [None, torch.tensor([3.0, 2.0, 1.5]).double()])
@pytest.mark.parametrize("std", [[0.25, 0.4, 0.6], [0.6, 0.7, 0.9]])
def test_true_nll_is_below_weighted_is_below_bound(exponent, std):
    x = draw(WEIGHTS, 1500)
    truth = exact_nll(WEIGHTS, x)
    got = features(linear_vae(WEIGHTS, std=std), x, exponent)
    bound = got["reconstruction"] + got["rate"]
    for name in [n for n in got if n.startswith("nll_iw")]:
        for smaller, larger in ((truth, got[name][:, 0]), (got[name][:, 0], bound[:, 0])):
            gap = larger - smaller
            assert gap.mean() > -4 * gap.std() / len(x) ** 0.5
    gap = bound[:, 0] - truth
    assert gap.mean() > 4 * gap.std() / len(x) ** 0.5  # the posterior is wrong on purpose: the bound is loose


def test_more_samples_tighten_the_estimate():
    x = draw(WEIGHTS, 800)
    vae = linear_vae(WEIGHTS, std=[0.6, 0.7, 0.9])
    few, many = (features(vae, x, samples=k)["nll_iw.q"] for k in (1, 64))
    gap = (few - many)[:, 0]
    assert gap.mean() > 4 * gap.std() / len(x) ** 0.5


def test_surrogate_and_excess_make_the_bound():
    vae, x = linear_vae(WEIGHTS), draw(WEIGHTS, 200)
    readings = likelihood_readings(moments_of(features(vae, x, torch.tensor([3.0, 2.0, 1.5]).double())))
    value = {name: float(reading.value) for name, reading in readings.items()}
    assert value["excess_kl"] > 0.1
    assert value["surrogate_nll"] + value["excess_kl"] == pytest.approx(value["nll_bound"], abs=1e-12)
    assert value["reconstruction"] + value["rate"] == pytest.approx(value["nll_bound"], abs=1e-12)


@pytest.mark.parametrize("exponent", [None, torch.ones(3).double()])
def test_without_lambda_the_surrogate_is_the_bound(exponent):
    vae, x = linear_vae(WEIGHTS), draw(WEIGHTS, 100)
    moments = moments_of(features(vae, x, exponent))
    readings = likelihood_readings(moments)
    assert float(readings["surrogate_nll"].value) == float(readings["nll_bound"].value)
    assert float(readings["excess_kl"].value) == 0.0
    assert list(importance_estimates(moments, 16)) == ["q"]


def test_surrogate_can_lie_below_the_truth():
    # why it may never be called a bound
    x = draw(WEIGHTS, 500)
    readings = likelihood_readings(moments_of(features(linear_vae(WEIGHTS), x, torch.full((3,), 4.0).double())))
    assert float(readings["surrogate_nll"].value) < float(exact_nll(WEIGHTS, x).mean()) - 0.3


def test_reconstruction_matches_its_closed_form():
    vae, x = linear_vae(WEIGHTS), draw(WEIGHTS, 1000)
    reading = likelihood_readings(moments_of(features(vae, x, samples=64)))["reconstruction"]
    with torch.no_grad():
        q = vae.encode(x)
    misfit = (x - q.mu @ WEIGHTS.T).square().sum(1) + (q.var * WEIGHTS.square().sum(0)).sum(1)
    constant = 0.5 * x.shape[1] * torch.log(torch.tensor(2 * torch.pi * 0.5))
    expected = (misfit / (2 * 0.5) + constant).mean()
    # Monte Carlo noise of 64 samples an example is far below the scatter over examples
    assert float(reading.value) == pytest.approx(float(expected), abs=float(reading.stderr))


def test_better_proposal_comes_first_and_errors_are_over_examples():
    vae, x = linear_vae(WEIGHTS), draw(WEIGHTS, 400)
    got = features(vae, x, torch.full((3,), 6.0).double(), samples=8)
    estimates = importance_estimates(moments_of(got), 8)
    assert list(estimates) == ["q", "q_sampled"]  # q is the exact posterior here, the narrow law is worse
    assert estimates["q_sampled"].ess.value < estimates["q"].ess.value
    expected = got["nll_iw.q"].std() / 400**0.5
    torch.testing.assert_close(estimates["q"].nll.stderr[0], expected, rtol=1e-6, atol=0)
    narrow_posterior = linear_vae(WEIGHTS, std=[0.999, 0.999, 0.999])
    other = features(narrow_posterior, x, torch.full((3,), 600.0).double(), samples=64)
    assert next(iter(importance_estimates(moments_of(other), 64))) == "q_sampled"


def test_log_weights_in_parts_equal_the_whole():
    log_w = 30 * torch.randn(40, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = LogWeights.empty(7, "cpu").fold(log_w)
    parts = LogWeights.empty(7, "cpu")
    for part in log_w.split([1, 13, 26]):
        parts = parts.fold(part)
    torch.testing.assert_close(parts.nll, whole.nll, rtol=1e-12, atol=0)
    torch.testing.assert_close(parts.effective_samples, whole.effective_samples, rtol=1e-10, atol=0)
    torch.testing.assert_close(whole.nll, -(log_w.logsumexp(0) - torch.tensor(40.0).double().log()))
    weight = log_w.softmax(0)
    torch.testing.assert_close(whole.effective_samples, 1 / weight.square().sum(0))


def test_log_weights_keep_nan_and_survive_impossible_samples():
    log_w = torch.tensor([[float("nan"), -torch.inf, -torch.inf], [0.0, -torch.inf, 0.0]])
    sums = LogWeights.empty(3, "cpu").fold(log_w)
    assert sums.nll[0].isnan()
    assert sums.nll[1] == torch.inf
    assert float(sums.nll[2]) == pytest.approx(0.6931, abs=1e-4)


def test_chunks_do_not_change_the_terms(monkeypatch):
    x = draw(WEIGHTS, 64)  # parts of 64 * 3 numbers: torch's generator hands out noise in blocks of 16
    vae, exponent = linear_vae(WEIGHTS), torch.tensor([3.0, 2.0, 1.5]).double()
    whole = features(vae, x, exponent, samples=10)
    monkeypatch.setattr("lambda_vae.estimation.batching.ROWS_PER_PASS", 100)
    parts = features(vae, x, exponent, samples=10)
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-10, atol=1e-10)


def test_without_weights_only_the_sampled_law_is_used():
    x, exponent = draw(WEIGHTS, 300), torch.tensor([3.0, 2.0, 1.5]).double()
    lean = features(linear_vae(WEIGHTS), x, exponent, samples=64, importance=False)
    assert set(lean) == {"reconstruction", "rate", "rate_q"}
    full = features(linear_vae(WEIGHTS), x, exponent, samples=64)
    torch.testing.assert_close(lean["reconstruction"], full["reconstruction"], rtol=1e-10, atol=1e-10)


def test_no_samples_is_refused():
    with pytest.raises(InputError, match="iw_samples is 0; it must be at least 1"):
        features(linear_vae(WEIGHTS), draw(WEIGHTS, 5), samples=0)
