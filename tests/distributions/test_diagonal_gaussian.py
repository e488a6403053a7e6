"""The diagonal Gaussian against torch.distributions, scipy and Monte Carlo, and its digits near collapse."""

import math

import pytest
import torch
from scipy import integrate, stats
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from lambda_vae.distributions import DiagGaussian, GaussianLikelihood, standard_normal
from lambda_vae.equalization import sampling_logvar

SAMPLES = 200_000


def drawn(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def pair(dtype: torch.dtype = torch.float64) -> tuple[DiagGaussian, DiagGaussian]:
    q = DiagGaussian(drawn(4, 3, seed=1, dtype=dtype), drawn(4, 3, seed=2, dtype=dtype))
    p = DiagGaussian(drawn(3, seed=3, dtype=dtype), drawn(3, seed=4, dtype=dtype))
    return q, p


def outside(q: DiagGaussian) -> Independent:
    return Independent(Normal(q.mu, q.logvar.mul(0.5).exp()), 1)


# float64 leaves 15 digits, of which sums and exponentials use one or two; float32 leaves 7.
TOLERANCE = {torch.float64: {"rtol": 1e-12, "atol": 1e-12}, torch.float32: {"rtol": 1e-5, "atol": 1e-5}}


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_moments_are_those_of_the_parameters(dtype: torch.dtype) -> None:
    q, _ = pair(dtype)
    torch.testing.assert_close(q.std, outside(q).stddev, **TOLERANCE[dtype])
    torch.testing.assert_close(q.var, outside(q).variance, **TOLERANCE[dtype])
    assert torch.equal(q.mean, q.mu)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_log_prob_is_that_of_torch(dtype: torch.dtype) -> None:
    q, _ = pair(dtype)
    z = drawn(5, 4, 3, seed=5, dtype=dtype)
    assert q.log_prob(z).shape == (5, 4)
    torch.testing.assert_close(q.log_prob(z), outside(q).log_prob(z), **TOLERANCE[dtype])


def test_log_prob_is_that_of_scipy() -> None:
    q, _ = pair()
    z = drawn(4, 3, seed=5)
    by_scipy = stats.norm(q.mu.numpy(), q.std.numpy()).logpdf(z.numpy()).sum(-1)
    torch.testing.assert_close(q.log_prob(z), torch.from_numpy(by_scipy), rtol=1e-12, atol=1e-12)


def test_density_integrates_to_one() -> None:
    q = DiagGaussian(torch.tensor([0.3], dtype=torch.float64), torch.tensor([-1.2], dtype=torch.float64))
    total, _ = integrate.quad(lambda z: q.log_prob(torch.tensor([z], dtype=torch.float64)).exp().item(), -10, 10)
    assert total == pytest.approx(1.0, abs=1e-10)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_kl_is_that_of_torch(dtype: torch.dtype) -> None:
    q, p = pair(dtype)
    by_torch = kl_divergence(Normal(q.mu, q.std), Normal(p.mu, p.std))
    torch.testing.assert_close(q.kl_per_dim(p), by_torch, **TOLERANCE[dtype])
    torch.testing.assert_close(q.kl(p), by_torch.sum(-1), **TOLERANCE[dtype])
    torch.testing.assert_close(p.kl(q), kl_divergence(outside(p).expand((4,)), outside(q)), **TOLERANCE[dtype])


def test_kl_is_the_mean_log_ratio_within_its_standard_error() -> None:
    q, p = pair()
    z = q.rsample(drawn(SAMPLES, 4, 3, seed=6))
    ratio = q.log_prob(z) - p.log_prob(z)
    stderr = ratio.std(0) / math.sqrt(SAMPLES)
    assert ((ratio.mean(0) - q.kl(p)).abs() < 4 * stderr).all()
    assert (stderr < 0.02 * q.kl(p)).all()  # tight enough that a wrong sign or factor shows


def test_kl_is_the_integral_of_its_definition() -> None:
    q, p = (DiagGaussian(one.mu.reshape(-1)[:1], one.logvar.reshape(-1)[:1]) for one in pair())

    def integrand(z: float) -> float:
        point = torch.tensor([z], dtype=torch.float64)
        return (q.log_prob(point).exp() * (q.log_prob(point) - p.log_prob(point))).item()

    value, _ = integrate.quad(integrand, q.mu.item() - 12 * q.std.item(), q.mu.item() + 12 * q.std.item())
    assert q.kl(p).item() == pytest.approx(value, rel=1e-8)


def test_kl_to_itself_is_zero_and_to_others_positive() -> None:
    q, p = pair()
    assert torch.equal(q.kl_per_dim(q), torch.zeros(4, 3, dtype=torch.float64))
    assert (q.kl_per_dim(p) > 0).all()


@pytest.mark.parametrize(("logvar", "tolerance"), [(1e-2, 1e-4), (1e-3, 1e-3), (1e-4, 1e-2)])
def test_kl_near_collapse_keeps_digits(logvar: float, tolerance: float) -> None:
    """In float32 exp(r) - 1 - r has an error of 10% at r = 1e-3 and of 100% at 1e-4; expm1(r) - r has not."""
    r = logvar * (0.5 + torch.rand(1000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    exact = r**2 / 4 + r**3 / 12 + r**4 / 48
    single = DiagGaussian(torch.zeros(1000, 1), r.float()).kl_per_dim(standard_normal(1)).double()
    assert ((single / exact - 1).abs().median() < tolerance).all()
    naive = (0.5 * (r.float().exp() - 1 - r.float())).double()
    assert (naive / exact - 1).abs().median() > tolerance  # the control


def test_tiny_mean_is_not_lost_beside_unit_variance() -> None:
    q = DiagGaussian(torch.full((1, 1), 1e-4), torch.zeros(1, 1))
    assert q.kl(standard_normal(1)).item() == pytest.approx(0.5e-8, rel=1e-6)


def test_sample_is_the_affine_map_of_the_noise() -> None:
    q, _ = pair()
    eps = drawn(2, 4, 3, seed=7)
    assert torch.equal(q.rsample(eps), q.mu + q.std * eps)
    assert torch.equal(q.rsample(torch.zeros_like(eps))[0], q.mu)


def test_samples_have_the_moments_within_their_standard_error() -> None:
    q, _ = pair()
    z = q.rsample(drawn(SAMPLES, 4, 3, seed=8))
    assert ((z.mean(0) - q.mu).abs() < 4 * q.std / math.sqrt(SAMPLES)).all()
    # The variance of a sample variance of a Gaussian is 2 sigma^4 / n.
    assert ((z.var(0) - q.var).abs() < 4 * q.var * math.sqrt(2 / SAMPLES)).all()


def test_gradients_reach_both_parameters() -> None:
    mu, logvar = drawn(4, 3, seed=1).requires_grad_(), drawn(4, 3, seed=2).requires_grad_()
    eps = drawn(4, 3, seed=9)

    def value(mu: Tensor, logvar: Tensor) -> Tensor:
        q = DiagGaussian(mu, logvar)
        return q.kl(DiagGaussian(torch.zeros_like(mu), torch.zeros_like(mu))) + q.rsample(eps).sum(-1)

    assert torch.autograd.gradcheck(value, (mu, logvar))


def equalized(q: DiagGaussian, exponent: Tensor) -> DiagGaussian:
    return q.with_logvar(sampling_logvar(q.logvar, exponent))


def test_equalized_narrows_by_the_power() -> None:
    q = DiagGaussian(drawn(4, 3, seed=1), -drawn(4, 3, seed=2).abs() - 0.1)
    exponent = torch.tensor([1.0, 2.0, 5.5], dtype=torch.float64)
    narrow = equalized(q, exponent)
    assert torch.equal(narrow.mu, q.mu)
    torch.testing.assert_close(narrow.std, q.std**exponent, rtol=1e-12, atol=0)


def test_equalized_by_ones_is_bit_for_bit_the_same() -> None:
    q = DiagGaussian(drawn(400, 3, seed=1, dtype=torch.float32), drawn(400, 3, seed=2, dtype=torch.float32))
    assert torch.equal(equalized(q, torch.ones(3)).logvar, q.logvar)


def test_equalized_leaves_wide_noise_alone() -> None:
    q = DiagGaussian(torch.zeros(1, 2), torch.tensor([[0.7, 0.0]]))
    assert torch.equal(equalized(q, torch.full((2,), 20.0)).logvar, q.logvar)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_parameters_become_float32(half: torch.dtype) -> None:
    q = DiagGaussian(torch.ones(2, 3, dtype=half), torch.full((2, 3), -1.0, dtype=half))
    values = (
        q.mu,
        q.logvar,
        q.std,
        q.kl(standard_normal(3)),
        q.log_prob(torch.zeros(2, 3)),
        q.rsample(torch.ones(2, 3)),
    )
    assert {value.dtype for value in values} == {torch.float32}


def test_double_stays_double() -> None:
    q, p = pair()
    assert {q.kl(p).dtype, q.log_prob(q.mu).dtype, q.std.dtype} == {torch.float64}


def test_nan_in_gives_nan_out() -> None:
    q = DiagGaussian(torch.tensor([[math.nan, 0.0]]), torch.zeros(1, 2))
    assert q.kl(standard_normal(2)).isnan().all()
    assert q.kl_per_dim(standard_normal(2)).isnan().tolist() == [[True, False]]


def test_gaussian_likelihood_is_a_density_with_learned_noise() -> None:
    likelihood = GaussianLikelihood(3)
    with torch.no_grad():
        likelihood.logvar.copy_(torch.tensor([-1.0, 0.0, 0.5]))
    theta, x = drawn(2, 4, 3, seed=1, dtype=torch.float32), drawn(4, 3, seed=2, dtype=torch.float32)
    by_torch = Normal(theta, likelihood.logvar.mul(0.5).exp()).log_prob(x).sum(-1)
    torch.testing.assert_close(likelihood(theta).log_prob(x), by_torch, rtol=1e-5, atol=1e-5)
    likelihood(theta).log_prob(x).mean().backward()
    assert likelihood.logvar.grad is not None
    assert (likelihood.logvar.grad != 0).all()
