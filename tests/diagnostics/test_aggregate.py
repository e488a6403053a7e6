"""The density of the aggregate posterior, against the mixture law of the house, scipy, and the plain sum."""

import numpy as np
import pytest
import torch
from scipy import special, stats

from lambda_vae.distributions import GaussianMixture
from lambda_vae.errors import InputError
from lambda_vae.estimation.aggregate import densities, log_mixture, log_pairs, noises, why_unusable

N, D = 80, 30


def codes(generator, least: float = 0.01):
    """A third of the dimensions narrow, the rest collapsed: where multiplying out cancels most."""
    std = torch.ones(N, D, dtype=torch.float64)
    std[:, :10] = least + 0.3 * torch.rand(N, 10, generator=generator, dtype=torch.float64)
    mu = torch.randn(N, D, generator=generator, dtype=torch.float64) * (1.0 - std.square()).clamp(min=0).sqrt()
    eps = torch.randn(N, D, generator=generator, dtype=torch.float64)
    return mu, 2 * std.log(), eps


def by_scipy(z, mu, logvar) -> np.ndarray:
    scale = torch.exp(0.5 * logvar).numpy()
    return np.stack([stats.norm(mu.numpy(), scale).logpdf(point).sum(-1) for point in z.numpy()])


def test_mixture_is_that_of_scipy_and_of_the_house(generator):
    mu, logvar, eps = codes(generator)
    z = mu + torch.exp(0.5 * logvar) * eps
    found = log_mixture(z, mu, logvar)
    plain = special.logsumexp(by_scipy(z, mu, logvar), axis=1) - np.log(N)
    np.testing.assert_allclose(found.numpy(), plain, atol=1e-6)
    torch.testing.assert_close(found, GaussianMixture(mu, logvar).log_prob(z), atol=1e-6, rtol=0)


def test_own_and_others(generator):
    mu, logvar, eps = codes(generator, least=0.5)
    found = densities(eps, mu, logvar)
    pairs = by_scipy(mu + torch.exp(0.5 * logvar) * eps, mu, logvar)
    np.testing.assert_allclose(found.own[0].numpy(), pairs.diagonal(), atol=1e-9)
    np.testing.assert_allclose(found.aggregate[0].numpy(), special.logsumexp(pairs, axis=1) - np.log(N), atol=1e-6)
    share = special.softmax(pairs, axis=1).diagonal()
    np.testing.assert_allclose(found.own_share[0].numpy(), share, atol=1e-6)
    np.fill_diagonal(pairs, -np.inf)
    np.testing.assert_allclose(found.others[0].numpy(), special.logsumexp(pairs, axis=1) - np.log(N - 1), atol=1e-6)


def test_all_pairs(generator):
    mu, logvar, eps = codes(generator, least=0.1)
    np.testing.assert_allclose(log_pairs(eps, mu, logvar).numpy(), by_scipy(eps, mu, logvar), rtol=1e-9)


@pytest.mark.parametrize("leave_own_out", [False, True])
def test_chunks_change_nothing(generator, leave_own_out: bool):
    mu, logvar, eps = codes(generator)
    z = mu + torch.exp(0.5 * logvar) * eps
    whole, *parts = (
        log_mixture(z, mu, logvar, leave_own_out=leave_own_out, chunk=chunk) for chunk in (10**9, 1, 7 * N, 64 * N)
    )
    for part in parts:
        torch.testing.assert_close(part, whole, atol=1e-9, rtol=0)


def test_far_from_everything_is_not_minus_infinity():
    z, mu, logvar = torch.full((1, 1), 1000.0), torch.zeros(2, 1), torch.zeros(2, 1)
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(torch.tensor(1000.0)).double()
    torch.testing.assert_close(log_mixture(z, mu, logvar)[0], expected)


def test_noise_comes_from_the_generator_alone():
    mu = torch.zeros(3, 2)
    drawn = [torch.stack(list(noises(mu, torch.Generator().manual_seed(5), 4))) for _ in range(2)]
    assert torch.equal(*drawn)
    assert drawn[0].unique().numel() == 24
    with pytest.raises(InputError, match="0 draws of each example"):
        next(noises(mu, None, 0))


def test_what_cannot_be_used_says_why():
    fine, broken = torch.zeros(4, 2), torch.zeros(4, 2)
    broken[1, 1] = torch.nan
    assert why_unusable(fine, fine) == ""
    assert why_unusable(broken, fine) == why_unusable(fine, broken) == "1 of 4 posteriors are not finite"
    assert "1 of 4 posteriors have a dimension of zero variance" in why_unusable(fine, broken.nan_to_num(-torch.inf))
    assert "infinite" in why_unusable(fine, broken.nan_to_num(-700.0))
    assert "1 of 4 posteriors are not finite" in why_unusable(fine, broken.nan_to_num(torch.inf))
    assert why_unusable(fine[:1], fine[:1]) == "1 example; the aggregate posterior needs at least 2"
    assert why_unusable(fine[:0], fine[:0]) == "0 examples; the aggregate posterior needs at least 2"
    with pytest.raises(InputError, match=r"mu has shape \[4, 2\] and logvar \[4, 1\]"):
        why_unusable(fine, fine[:, :1])
