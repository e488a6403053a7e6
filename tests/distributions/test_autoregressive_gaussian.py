"""The autoregressive Gaussian against torch's MultivariateNormal, simulation and a numerical minimum."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from lambda_vae.distributions import (
    AutoregressiveGaussian,
    Density,
    DiagGaussian,
    closed_form_kl,
    kl_or_ratio,
    standard_normal,
)

K, B, D = 3, 4, 5
SAMPLES = 200_000


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def prior(alpha: float | list[float] = 0.7, dim: int = D) -> AutoregressiveGaussian:
    values = torch.tensor(alpha, dtype=torch.float64).expand(dim).clone()
    values[0] = 0.0
    return AutoregressiveGaussian(values)


def outside(p: AutoregressiveGaussian) -> MultivariateNormal:
    """Cov(z_i, z_j) is the product of the alphas between them."""
    dim = len(p.alpha)
    covariance = torch.eye(dim, dtype=torch.float64)
    for i in range(dim):
        for j in range(i):
            covariance[i, j] = covariance[j, i] = p.alpha[j + 1 : i + 1].prod()
    return MultivariateNormal(torch.zeros(dim, dtype=torch.float64), covariance)


ALPHAS = pytest.mark.parametrize("alpha", [0.0, 0.7, -0.4, 0.99, [0.0, 0.3, -0.8, 0.9, 0.1]])


@ALPHAS
def test_log_prob_is_that_of_torch(alpha: float | list[float]) -> None:
    p, z = prior(alpha), drawn(K, B, D, seed=1)
    assert isinstance(p, Density)
    assert p.noise_dim == D
    torch.testing.assert_close(p.log_prob(z), outside(p).log_prob(z), rtol=1e-10, atol=1e-10)


@ALPHAS
def test_kl_is_that_of_torch_and_the_mean_log_ratio(alpha: float | list[float]) -> None:
    p, q = prior(alpha), DiagGaussian(drawn(B, D, seed=2), drawn(B, D, seed=3))
    kl = closed_form_kl(q, p)
    assert kl is not None
    by_torch = kl_divergence(MultivariateNormal(q.mu, q.var.diag_embed()), outside(p))
    torch.testing.assert_close(kl, by_torch, rtol=1e-10, atol=1e-10)
    draw = q.rsample_and_log_prob(drawn(SAMPLES, B, D, seed=4))
    assert torch.equal(kl_or_ratio(q, p, draw), kl)
    ratio = Independent(Normal(q.mu, q.std), 1).log_prob(draw.z) - p.log_prob(draw.z)
    assert ((ratio.mean(0) - kl).abs() < 4.5 * ratio.std(0) / math.sqrt(SAMPLES)).all()


def test_draws_have_the_covariance_within_its_standard_error() -> None:
    p = prior([0.0, 0.3, -0.8, 0.9, 0.1])
    z = p.rsample(drawn(SAMPLES, D, seed=5))
    exact = outside(p).covariance_matrix
    # The variance of a sample covariance of Gaussians is (c_ii c_jj + c_ij^2)/n.
    stderr = ((1 + exact.square()) / SAMPLES).sqrt()
    assert ((z.T @ z / SAMPLES - exact).abs() < 4.5 * stderr).all()
    assert torch.equal(p.marginals().var, torch.ones(D, dtype=torch.float64))


def test_alpha_zero_is_the_standard_normal_bit_for_bit() -> None:
    p, q = AutoregressiveGaussian(torch.zeros(D)), DiagGaussian(torch.randn(B, D), torch.randn(B, D))
    z = torch.randn(K, B, D)
    assert torch.equal(p.rsample(z), z)
    assert torch.equal(p.log_prob(z), standard_normal(D).log_prob(z))
    assert torch.equal(p.kl_from(q), q.kl(standard_normal(D)))


@pytest.mark.parametrize(("dim", "alpha"), [(2, 0.5), (3, 0.9), (4, -0.6)])
def test_least_kl_is_the_minimum_over_all_diagonal_gaussians(dim: int, alpha: float) -> None:
    p = prior(alpha, dim)

    def kl(x: np.ndarray) -> float:
        return float(p.kl_from(DiagGaussian(*torch.from_numpy(x).view(2, dim))))

    least = AutoregressiveGaussian.least_kl(math.log1p(-(alpha**2)), dim)
    found = minimize(kl, np.random.default_rng(0).normal(size=2 * dim), method="BFGS")
    assert found.fun == pytest.approx(least, abs=1e-7)
    at = math.log1p(-(alpha**2)) - math.log1p(alpha**2) * torch.tensor([0.0, *[1.0] * (dim - 2), 0.0])
    assert kl(torch.stack((torch.zeros(dim), at)).double().numpy()) == pytest.approx(least, rel=1e-6)


def test_least_kl_keeps_its_digits_near_one() -> None:
    """ln(1 - alpha^2) = -60: alpha is 1 in float64, the KL is not infinite."""
    assert AutoregressiveGaussian.least_kl(-60.0, 2) == 30.0
