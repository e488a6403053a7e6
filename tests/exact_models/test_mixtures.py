"""Quadrature on Gaussian mixtures, against closed forms, scipy and simulation."""

import math

import pytest
import torch
from scipy import integrate, stats

from exact_models import (
    GaussianChannel,
    mixture_entropy,
    mixture_information,
    mixture_mismatch,
    mixture_total_correlation,
    noisy,
)
from lambda_vae.distributions import GaussianMixture
from lambda_vae.errors import InputError


def mixture(means: list, stds: list) -> GaussianMixture:
    means, stds = (torch.tensor(values, dtype=torch.float64) for values in (means, stds))
    return GaussianMixture(means, 2 * stds.log())


ONE = mixture([[-2.0], [0.5], [3.0]], [[0.3], [1.0], [0.7]])
TWO = mixture([[-2.0, 1.0], [0.5, 0.0], [2.0, -1.0]], [[0.4, 1.0], [1.0, 0.5], [0.7, 0.6]])


def test_entropy_by_scipy() -> None:
    def density(z: float) -> float:
        parts = [math.exp(-0.5 * ((z - m) / s) ** 2) / s for m, s in ((-2.0, 0.3), (0.5, 1.0), (3.0, 0.7))]
        return sum(parts) / (3 * math.sqrt(2 * math.pi))

    by_scipy, _ = integrate.quad(lambda z: -density(z) * math.log(density(z)), -10, 12, limit=200, epsabs=1e-11)
    assert mixture_entropy(ONE) == pytest.approx(by_scipy, abs=1e-9)


@pytest.mark.parametrize("std", [0.01, 1.0, 30.0])
def test_one_component_is_a_gaussian(std: float) -> None:
    assert mixture_entropy(mixture([[4.0]], [[std]])) == pytest.approx(stats.norm(scale=std).entropy(), abs=1e-10)
    assert mixture_information(mixture([[4.0]], [[std]])) == pytest.approx(0.0, abs=1e-10)
    exact = 0.5 * (std**2 + 16 - 1) - math.log(std)
    assert mixture_mismatch(mixture([[4.0]], [[std]])) == pytest.approx(exact, rel=1e-10)


def test_components_far_apart_tell_all_of_themselves() -> None:
    far = mixture([[20.0 * i] for i in range(7)], [[1.0]] * 7)
    assert mixture_information(far) == pytest.approx(math.log(7), abs=1e-10)


@pytest.mark.parametrize("law", [ONE, TWO], ids=["one", "two"])
def test_entropy_and_mismatch_by_simulation(law: GaussianMixture, generator) -> None:
    z = law.rsample(torch.randn(200_000, law.noise_dim, generator=generator, dtype=torch.float64))
    log_q = law.log_prob(z)
    log_p = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    for terms, exact in ((-log_q, mixture_entropy(law)), (log_q - log_p, mixture_mismatch(law))):
        assert float(terms.mean()) == pytest.approx(exact, abs=4 * float(terms.std()) / math.sqrt(len(z)))


def test_total_correlation() -> None:
    product = mixture([[a, b] for a in (-1.0, 2.0) for b in (0.0, 3.0)], [[0.5, 0.8]] * 4)
    assert mixture_total_correlation(product) == pytest.approx(0.0, abs=1e-10)
    far = mixture([[20.0 * i, 20.0 * i] for i in range(5)], [[1.0, 1.0]] * 5)
    assert mixture_total_correlation(far) == pytest.approx(math.log(5), abs=1e-10)


def test_noise_on_one_component_is_the_channel() -> None:
    law = noisy(mixture([[0.0]], [[2.0]]), 0.5)
    channel = GaussianChannel(torch.tensor([[4.0]]), torch.tensor([0.5]))
    assert mixture_entropy(law) == pytest.approx(channel.entropy, abs=1e-10)


def test_what_quadrature_cannot_do() -> None:
    with pytest.raises(InputError, match=r"\[2, 3\]; quadrature needs"):
        mixture_entropy(mixture([[0.0] * 3] * 2, [[1.0] * 3] * 2))
    with pytest.raises(InputError, match="give wider components"):
        mixture_entropy(mixture([[0.0, 0.0], [1.0, 1.0]], [[1e-5, 1e-5]] * 2))
