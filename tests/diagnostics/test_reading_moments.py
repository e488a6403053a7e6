import pytest
import torch

from lambda_vae.diagnostics.activity import (
    active,
    activity_features,
    kl_per_dimension,
    log_precision,
    signal_power,
    std_mean,
    std_spread,
)
from lambda_vae.diagnostics.information import (
    capacity_lost,
    predicted_snr_capacity,
    snr_capacity,
)
from lambda_vae.distributions import DiagGaussian, standard_normal
from lambda_vae.equalization.theory import critical_std, excess_kl, sampling_logvar
from lambda_vae.errors import InputError
from lambda_vae.estimation.moments import moments_of


def posterior(n=400, dim=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mu = torch.randn(n, dim, generator=generator) * torch.tensor([1.0, 0.3, 0.01])[:dim]
    logvar = -torch.rand(n, dim, generator=generator) * torch.tensor([3.0, 1.0, 0.01])[:dim]
    return DiagGaussian(mu, logvar)


def features(q, exponent=None):
    sampled = q if exponent is None else q.with_logvar(sampling_logvar(q.logvar, exponent))
    return activity_features(q, sampled, standard_normal(q.mu.shape[1]))


READINGS = {
    "signal_power": signal_power,
    "std_mean": std_mean,
    "std_spread": std_spread,
    "kl": kl_per_dimension,
    "log_precision": log_precision,
    "snr_capacity": snr_capacity,
    "capacity_lost": capacity_lost,
}


@pytest.mark.parametrize("name", READINGS)
@pytest.mark.parametrize("sizes", [[400], [1, 399], [100, 100, 200]])
def test_streaming_equals_whole_batch(name, sizes):
    q = posterior()
    whole = READINGS[name](moments_of(features(q)))
    parts = [DiagGaussian(mu, lv) for mu, lv in zip(q.mu.split(sizes), q.logvar.split(sizes), strict=True)]
    total = moments_of(features(parts[0]))
    for part in parts[1:]:
        total = total + moments_of(features(part))
    streamed = READINGS[name](total)
    torch.testing.assert_close(streamed.value, whole.value, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(streamed.stderr, whole.stderr, rtol=1e-6, atol=1e-12)


def test_readings_equal_direct_formulas():
    q = posterior()
    exponent = torch.tensor([2.0, 1.0, 3.0])
    m = moments_of(features(q, exponent))
    mu, std = q.mu.double(), (0.5 * q.logvar.double()).exp()
    noise = std.pow(exponent).square().mean(0)
    torch.testing.assert_close(signal_power(m).value, mu.var(0), rtol=1e-10, atol=0)
    torch.testing.assert_close(std_mean(m).value, std.mean(0), rtol=1e-12, atol=0)
    torch.testing.assert_close(std_spread(m).value, std.std(0), rtol=1e-8, atol=0)
    torch.testing.assert_close(snr_capacity(m).value, 0.5 * (1 + mu.var(0) / noise).log(), rtol=1e-6, atol=0)
    lost = 0.5 * (1 + mu.var(0) / 0.01).log() - 0.5 * (1 + mu.var(0) / noise).log()
    torch.testing.assert_close(capacity_lost(m).value, lost, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(log_precision(m).value, -q.logvar.double().mean(0), rtol=1e-12, atol=0)


def test_kl_equals_torch_distributions():
    q, exponent = posterior(), torch.tensor([2.0, 1.5, 3.0])
    m = moments_of(features(q, exponent))
    prior = torch.distributions.Normal(torch.tensor(0.0).double(), torch.tensor(1.0).double())
    for sampled, law in ((False, q), (True, q.with_logvar(sampling_logvar(q.logvar, exponent)))):
        normal = torch.distributions.Normal(law.mu.double(), (0.5 * law.logvar.double()).exp())
        expected = torch.distributions.kl_divergence(normal, prior).mean(0)
        # torch's own formula cancels near collapse, hence the absolute tolerance
        torch.testing.assert_close(kl_per_dimension(m, sampled=sampled).value, expected, rtol=1e-9, atol=1e-12)


def test_excess_kl_per_dimension_equals_equation_14():
    q, exponent = posterior(), torch.tensor([2.0, 1.5, 3.0])
    m = moments_of(features(q, exponent))
    excess = kl_per_dimension(m, sampled=True).value - kl_per_dimension(m).value
    expected = excess_kl((0.5 * q.logvar.double()).exp(), exponent.double()).mean(0)
    torch.testing.assert_close(excess, expected, rtol=1e-6, atol=1e-9)


def test_predicted_capacity_is_that_of_the_critical_noise():
    q = DiagGaussian(posterior().mu, torch.full((400, 3), 2 * torch.tensor(0.6).log().item()))
    m = moments_of(features(q))
    expected = 0.5 * (1 + signal_power(m).value / critical_std(1.1) ** 2).log()
    torch.testing.assert_close(predicted_snr_capacity(m, 1.1).value, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(predicted_snr_capacity(m, float("inf")).value, snr_capacity(m).value, rtol=1e-6, atol=0)


def test_standard_error_of_signal_power_covers_the_truth():
    generator = torch.Generator().manual_seed(3)
    n, repeats = 200, 1000
    mu = 0.7 * torch.randn(n, repeats, generator=generator, dtype=torch.float64)
    reading = signal_power(moments_of(features(DiagGaussian(mu, torch.zeros_like(mu)))))
    inside = ((reading.value - 0.49).abs() < 1.96 * reading.stderr).double().mean()
    # 95% in the limit; at n = 200 a variance is a little skewed. Four binomial standard errors are 0.028.
    assert 0.91 < inside < 0.975
    # the closed form for Gaussian mu
    expected = 0.49 * (2 / (n - 1)) ** 0.5
    assert float(reading.stderr.mean()) == pytest.approx(expected, rel=0.03)


def test_standard_error_of_capacity_matches_the_scatter_over_data_sets():
    values, errors = [], []
    for seed in range(200):
        reading = snr_capacity(moments_of(features(posterior(200, 3, seed))))
        values.append(reading.value)
        errors.append(reading.stderr)
    scatter = torch.stack(values).std(0)
    # the scatter of 200 repetitions is itself known to 5%; four times that
    torch.testing.assert_close(torch.stack(errors).mean(0), scatter, rtol=0.2, atol=0)


def test_kl_near_collapse_keeps_its_digits():
    logvar = torch.full((50, 1), -1e-5)
    m = moments_of(features(DiagGaussian(torch.zeros(50, 1), logvar)))
    exact = 0.25 * float(logvar[0, 0].double()) ** 2  # next term is 1e-5 smaller
    assert float(kl_per_dimension(m).value) == pytest.approx(exact, rel=1e-4)


def test_active_counts_only_above_the_threshold():
    power = torch.tensor([0.0, 0.01, 0.0101, float("nan")])
    assert active(power).tolist() == [False, False, True, False]


def test_one_example_has_no_spread():
    m = moments_of(features(DiagGaussian(torch.ones(1, 2), torch.zeros(1, 2))))
    assert signal_power(m).value.isnan().all()
    assert std_mean(m).stderr.isnan().all()


@pytest.mark.parametrize("name", READINGS)
def test_nan_in_gives_nan_out(name):
    q = posterior()
    mu, logvar = q.mu.clone(), q.logvar.clone()
    mu[5, 0] = logvar[5, 0] = float("nan")
    reading = READINGS[name](moments_of(features(DiagGaussian(mu, logvar))))
    assert reading.value[0].isnan()
    assert reading.stderr[0].isnan()
    assert reading.value[1:].isfinite().all()


def test_moments_of_different_features_do_not_add():
    with pytest.raises(InputError, match="cannot add"):
        moments_of({"a": torch.ones(2, 1)}) + moments_of({"b": torch.ones(2, 1)})


def test_reference_noise_must_be_positive():
    with pytest.raises(InputError, match="greater than 0"):
        capacity_lost(moments_of(features(posterior())), 0.0)
