import pytest
import torch
from linear_gaussian import FEATURES, draw, equalized, linear_vae, loadings
from torch import nn

from lambda_vae.diagnostics.gradients import (
    decoder_capacity,
    gradient_features,
    gradient_ratio,
    reconstruction_gradient,
    scores,
)
from lambda_vae.distributions import BernoulliLikelihood, DiagGaussian
from lambda_vae.estimation.moments import moments_of
from lambda_vae.model import VAE
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import StandardNormalPrior

INFORMATION = [8.0, 3.0, 0.0]


def measured(vae, x, samples=1, seed=0):
    with torch.no_grad():
        q = vae.encode(x)
    generator = torch.Generator().manual_seed(seed)
    eps = torch.randn(samples, *q.mu.shape, generator=generator, dtype=torch.float64)
    return moments_of(gradient_features(vae, x, q, eps))


def test_gradient_of_a_linear_decoder_is_minus_information_times_noise():
    weights = loadings(INFORMATION)
    std = [0.4, 0.7, 0.9]
    vae = linear_vae(weights, std=std)
    g = reconstruction_gradient(measured(vae, draw(weights, 4000)))
    expected = -torch.tensor(INFORMATION, dtype=torch.float64) * torch.tensor(std, dtype=torch.float64)
    assert ((g.value - expected).abs() <= 4 * g.stderr + 1e-12).all()
    assert (g.stderr[:2] < 0.1 * expected[:2].abs()).all()
    assert g.value[2] == 0.0


def test_ratio_of_the_exact_posterior_is_one():
    weights = loadings(INFORMATION)
    rho = gradient_ratio(measured(linear_vae(weights), draw(weights, 4000)))
    assert ((rho.ratio.value[:2] - 1.0).abs() < 4 * rho.ratio.stderr[:2]).all()
    assert (rho.ratio.stderr[:2] < 0.1).all()


def test_ratio_is_amplified_under_an_exponent():
    weights = loadings(INFORMATION)
    std, exponent = [0.5, 0.8, 0.9], torch.tensor([3.0, 2.0, 4.0], dtype=torch.float64)
    rho = gradient_ratio(measured(equalized(linear_vae(weights, std=std), exponent), draw(weights, 4000)))
    s = torch.tensor(std, dtype=torch.float64)
    information = torch.tensor(INFORMATION, dtype=torch.float64)
    expected = exponent * s ** (exponent - 1) * information * s**exponent / (1 / s - s)
    assert ((rho.ratio.value - expected).abs() <= 4 * rho.ratio.stderr + 1e-12).all()
    assert (rho.ratio.stderr[:2] < 0.1 * expected[:2]).all()


def test_amplified_gradient_is_the_derivative_by_sigma():
    # autograd as the witness: d E[log p(x | mu + sigma^lambda eps)] / d sigma, on the same noise
    torch.manual_seed(0)
    vae = small_bernoulli_vae()
    x = torch.bernoulli(torch.full((20, 6), 0.4, dtype=torch.float64))
    mu = torch.randn(20, 2, dtype=torch.float64)
    std = torch.full((20, 2), 0.6, dtype=torch.float64, requires_grad=True)
    eps, exponent = torch.randn(5, 20, 2, dtype=torch.float64), torch.tensor([2.0, 3.0], dtype=torch.float64)
    noise = torch.cat((eps, -eps)) * std**exponent
    total = vae.decode(mu + noise).log_prob(x).mean(0).sum()
    expected = torch.autograd.grad(total, std)[0]
    q = DiagGaussian(mu, 2 * std.detach().log())
    torch.testing.assert_close(gradient_features(equalized(vae, exponent), x, q, eps)["pull_amplified"], expected)


def small_bernoulli_vae():
    decoder = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 6))
    posterior, prior = GaussianPosterior(6, 2), StandardNormalPrior(2)
    return VAE(nn.Identity(), posterior, prior, decoder, BernoulliLikelihood(6)).double()


def test_scores_equal_finite_differences_and_leave_parameters_alone():
    torch.manual_seed(1)
    vae = small_bernoulli_vae()
    x, z = torch.bernoulli(torch.full((4, 6), 0.5)).double(), torch.randn(3, 4, 2, dtype=torch.float64)
    step = torch.tensor([1e-6, 0.0], dtype=torch.float64)
    with torch.no_grad():
        numeric = (vae.decode(z + step).log_prob(x) - vae.decode(z - step).log_prob(x)) / 2e-6
        got = scores(vae, x, z)
    torch.testing.assert_close(got[..., 0], numeric, rtol=1e-6, atol=1e-7)
    assert all(parameter.grad is None for parameter in vae.parameters())


def test_antithetic_noise_only_removes_noise():
    weights = loadings([20.0, 3.0, 0.0])
    # narrow noise, as under lambda: the gradient at the mean drowns the part that depends on eps
    vae, x = linear_vae(weights, std=[0.01, 0.02, 0.5]), draw(weights, 3000)
    g = reconstruction_gradient(measured(vae, x))
    with torch.no_grad():
        q = vae.encode(x)
    eps = torch.randn(1, *q.mu.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    plain = (scores(vae, x, q.rsample(eps)) * eps)[0]
    error = plain.std(0) / len(x) ** 0.5
    assert ((plain.mean(0) - g.value).abs() <= 4 * (error**2 + g.stderr**2).sqrt() + 1e-12).all()
    assert (g.stderr[:2] < 0.5 * error[:2]).all()


def test_decoder_capacity_of_the_true_model_is_the_root_of_the_information():
    weights = loadings(INFORMATION)
    c = decoder_capacity(measured(linear_vae(weights), draw(weights, 4000), samples=2))
    expected = torch.tensor(INFORMATION, dtype=torch.float64).sqrt()
    assert ((c.value - expected).abs() <= 4 * c.stderr + 1e-11).all()
    assert (c.stderr[:2] < 0.05 * expected[:2]).all()


def test_noise_floor_is_rarely_passed_by_a_dimension_without_signal():
    # The decoder is curved in no direction here, but its score is not zero: g = 0 and only noise is left.
    floor_passed, repeats = 0, 200
    vae = linear_vae(torch.zeros(FEATURES, 1, dtype=torch.float64), std=[0.8])
    for seed in range(repeats):
        generator = torch.Generator().manual_seed(seed)
        eps = torch.randn(1, 100, 1, generator=generator, dtype=torch.float64)
        x = torch.zeros(100, FEATURES, dtype=torch.float64)
        with torch.no_grad():
            q = vae.encode(x)
        features = gradient_features(vae, x, q, eps)
        noise = torch.randn(100, 1, generator=generator, dtype=torch.float64)
        rho = gradient_ratio(moments_of({**features, "pull": noise, "pull_amplified": noise}))
        floor_passed += int(rho.ratio.value > rho.noise_floor)
    # 5% of 200 is 10; four binomial standard errors are 12
    assert 1 <= floor_passed <= 22


def test_nan_in_gives_nan_out():
    weights = loadings(INFORMATION)
    x = draw(weights, 50)
    x[3, 2] = float("nan")
    moments = measured(linear_vae(weights), x)
    for value in (
        reconstruction_gradient(moments).value[:2],
        gradient_ratio(moments).ratio.value[:2],
        decoder_capacity(moments).value[:2],
    ):
        assert value.isnan().all()


def test_ratio_at_sigma_one_is_not_a_plausible_number():
    weights = loadings(INFORMATION)
    rho = gradient_ratio(measured(linear_vae(weights, std=[1.0, 1.0, 1.0]), draw(weights, 100)))
    assert rho.ratio.value[:2].isinf().all()
    assert rho.ratio.value[2].isnan()


@pytest.mark.parametrize("sizes", [[100], [1, 99], [40, 60]])
def test_streaming_equals_whole_batch(sizes):
    weights = loadings(INFORMATION)
    vae, x = linear_vae(weights), draw(weights, 100)
    q = vae.encode(x)
    eps = torch.randn(2, 100, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    whole = moments_of(gradient_features(vae, x, q, eps))
    total = None
    start = 0
    for size in sizes:
        rows = slice(start, start + size)
        part = moments_of(gradient_features(vae, x[rows], DiagGaussian(q.mu[rows], q.logvar[rows]), eps[:, rows]))
        total = part if total is None else total + part
        start += size
    got, expected = gradient_ratio(total).ratio.value, gradient_ratio(whole).ratio.value
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=0, equal_nan=True)
