"""Planted directions in noise: how many there are, how strong, and what the noise is."""

import math

import pytest
import torch

from lambda_vae.diagnostics.spectrum import StreamedSpectrum, debiased, fit_noise
from lambda_vae.errors import InputError


@pytest.mark.parametrize("features", [20, 3000])
@pytest.mark.parametrize("value", [0.7, 300.0])
def test_a_constant_has_no_eigenvalue_but_rounding(features, value):
    constant = torch.full((500, features), value)
    assert spectrum(constant).eigenvalues().count_nonzero() == 0
    varying = constant + value * 1e-3 * torch.randn(500, 1, generator=torch.Generator().manual_seed(0))
    found = spectrum(varying).eigenvalues()
    assert float(found[0]) == pytest.approx(float(varying[:, 0].double().var(correction=0)) * features, rel=1e-3)


SIZES = [(10, 20_000), (40, 100), (40, 5000), (400, 300), (4000, 300), (4000, 100)]


def planted(features, examples, variances, noise_var, seed):
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(features, len(variances), generator=generator)).Q
    codes = torch.randn(examples, len(variances), generator=generator) * torch.tensor(variances).sqrt()
    return codes @ basis.T + noise_var**0.5 * torch.randn(examples, features, generator=generator)


def spectrum(x):
    streamed = StreamedSpectrum(x.shape[1])
    for part in x.split(64):
        streamed.add(part)
    return streamed


@pytest.mark.parametrize(("features", "examples"), SIZES)
@pytest.mark.parametrize("noise_var", [1e-4, 1.0])
def test_planted_directions_are_counted_and_measured(features, examples, noise_var):
    # Baik, Ben Arous and Peche 2005: below it a direction leaves no trace in the largest eigenvalue
    hidden = noise_var * (1.0 + math.sqrt(features / examples))
    variances = [40.0 * hidden, 20.0 * hidden, 10.0 * hidden]
    for seed in range(12 if features <= 400 else 3):
        values = spectrum(planted(features, examples, variances, noise_var, seed)).eigenvalues()
        fit = fit_noise(values, features, examples, margin=1.05)
        assert fit.directions == 3
        assert fit.noise_var == pytest.approx(noise_var, rel=0.1)
        real = debiased(values[:3], fit.noise_var, features, examples)
        expected = torch.tensor(variances, dtype=torch.float64) + noise_var
        error = 5.0 * math.sqrt(2.0 / examples)
        assert bool(((real / expected - 1.0).abs() < error).all()), (real, expected)


@pytest.mark.parametrize(("features", "examples"), SIZES)
def test_noise_alone_has_no_direction(features, examples):
    found = [
        fit_noise(
            spectrum(planted(features, examples, [1e-12], 2.0, seed)).eigenvalues(), features, examples, margin=1.1
        )
        for seed in range(6)
    ]
    assert [fit.directions for fit in found] == [0] * 6


def test_both_ways_of_keeping_give_the_same_eigenvalues(monkeypatch):
    x, scale = planted(50, 30, [9.0], 1.0, 0), torch.linspace(0.5, 2.0, 50, dtype=torch.float64)
    kept, plain = spectrum(x), spectrum(x).eigenvalues(scale)
    monkeypatch.setattr("lambda_vae.diagnostics.spectrum._COVARIANCE_FEATURES", 10)
    rows = spectrum(x)
    torch.testing.assert_close(rows.eigenvalues(scale)[:29], plain[:29], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(rows.diagonal(), kept.diagonal(), rtol=1e-5, atol=1e-6)
    assert rows.examples == kept.examples == 30
    assert kept.most_examples == math.inf


def test_examples_beyond_the_budget_are_refused(monkeypatch):
    monkeypatch.setattr("lambda_vae.diagnostics.spectrum._COVARIANCE_FEATURES", 10)
    monkeypatch.setattr("lambda_vae.diagnostics.spectrum._KEPT_NUMBERS", 500)
    with pytest.raises(InputError, match="more than 10 examples of 50 features"):
        spectrum(torch.zeros(11, 50))


@pytest.mark.parametrize(("features", "examples"), SIZES[1:5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_data_without_noise_have_their_directions_and_no_more(features, examples, dtype):
    x = planted(features, examples, [9.0, 4.0, 1.0], 0.0, 0).to(dtype)
    fit = fit_noise(spectrum(x).eigenvalues(), features, examples)
    assert fit.directions == 3
    assert fit.noise_var < 1e-6


def test_features_that_never_change_are_for_the_caller_to_leave_out():
    x = torch.nn.functional.pad(planted(40, 5000, [20.0, 10.0], 1.0, 0), (0, 60))
    fit = fit_noise(spectrum(x).eigenvalues(), 40, 5000, margin=1.05)
    assert fit.directions == 2
    assert fit.noise_var == pytest.approx(1.0, rel=0.05)


def test_constant_and_spoiled_data():
    assert fit_noise(spectrum(torch.ones(20, 5)).eigenvalues(), 5, 20).directions == 0
    assert bool(spectrum(torch.full((20, 5), math.nan)).eigenvalues().isnan().all())
