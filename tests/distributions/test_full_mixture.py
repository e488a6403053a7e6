"""The mixture of Gaussians with full covariances."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from lambda_vae.distributions import Density, FullGaussianMixture, full_mixture
from lambda_vae.errors import InputError

WEIGHTS = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)


@pytest.fixture
def law(normal64):
    factors = torch.linalg.cholesky(torch.stack([a @ a.T + 0.1 * torch.eye(4) for a in normal64(3, 4, 4)]))
    return FullGaussianMixture(WEIGHTS, 2.0 * normal64(3, 4), factors)


def covariances(law):
    return law.factors @ law.factors.transpose(1, 2)


def test_density_is_scipy_s(law, normal64):
    z = 3.0 * normal64(5, 7, 4)
    parts = [
        weight * multivariate_normal(mean.numpy(), cov.numpy()).pdf(z.numpy())
        for weight, mean, cov in zip(WEIGHTS.numpy(), law.means, covariances(law), strict=True)
    ]
    np.testing.assert_allclose(law.log_prob(z).numpy(), np.log(sum(parts)), rtol=1e-10)


def test_density_is_the_same_in_small_parts(law, normal64, monkeypatch):
    z = normal64(23, 4)
    whole = law.log_prob(z)
    monkeypatch.setattr(full_mixture, "_NUMBERS_PER_PASS", 24)  # two rows at a time
    assert torch.allclose(law.log_prob(z), whole, rtol=1e-12)


def test_draws_have_the_mean_and_covariance_of_the_mixture(law, normal64):
    n = 100_000
    z = law.rsample(normal64(n, law.noise_dim))
    mean = WEIGHTS @ law.means
    spread = law.means - mean
    cov = torch.einsum("m,mij->ij", WEIGHTS, covariances(law) + spread[:, :, None] * spread[:, None])
    assert ((z.mean(0) - mean).abs() < 4.5 * (cov.diagonal() / n).sqrt()).all()
    centred = z - z.mean(0)
    products = centred[:, :, None] * centred[:, None]
    assert ((products.mean(0) - cov).abs() < 4.5 * products.std(0) / n**0.5).all()
    assert torch.allclose(law.marginals().mu, mean.float())
    assert torch.allclose(law.marginals().var, cov.diagonal().float())


def test_components_come_in_their_shares(normal64):
    far = FullGaussianMixture(WEIGHTS, torch.tensor([[-100.0], [0.0], [100.0]]), torch.ones(3, 1, 1))
    z = far.rsample(normal64(20_000, 2))[:, 0]
    for weight, centre in zip(WEIGHTS, (-100.0, 0.0, 100.0), strict=True):
        share = ((z - centre).abs() < 50.0).double().mean()
        assert (share - weight).abs() < 4.5 * (weight * (1 - weight) / 20_000).sqrt()


def test_noise_at_the_ends_picks_the_first_and_the_last(law):
    eps = torch.zeros(2, 5, dtype=torch.float64)
    eps[:, -1] = torch.tensor([-40.0, 40.0])
    assert torch.equal(law.rsample(eps), law.means[[0, 2]])


def test_it_is_a_density_in_the_precision_of_what_comes_in(law):
    assert isinstance(law, Density)
    z = law.rsample(torch.zeros(2, 5))
    assert z.dtype == law.log_prob(z).dtype == torch.float32


def test_no_components_are_refused():
    with pytest.raises(InputError, match="0 components; give it at least 1"):
        FullGaussianMixture(torch.ones(0), torch.ones(0, 2), torch.ones(0, 2, 2))
