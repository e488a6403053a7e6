"""The closed forms of the Gaussian channel, against scipy, simulation, and each other."""

import math

import pytest
import torch
from scipy import stats

from exact_models import GaussianChannel
from lambda_vae.equalization.theory import predicted_capacity
from lambda_vae.errors import InputError

CHANNEL = GaussianChannel(
    torch.tensor([[1.0, 0.5, 0.0], [0.5, 2.0, -0.3], [0.0, -0.3, 0.1]], dtype=torch.float64),
    torch.tensor([0.3, 0.7, 0.9], dtype=torch.float64),
)


def test_entropy_is_scipy_s() -> None:
    law = stats.multivariate_normal(cov=CHANNEL.covariance.numpy())
    assert CHANNEL.entropy == pytest.approx(law.entropy(), abs=1e-12)


def test_information_is_the_entropy_less_that_of_the_noise() -> None:
    noise = sum(stats.norm(scale=std).entropy() for std in CHANNEL.std.tolist())
    assert CHANNEL.information == pytest.approx(CHANNEL.entropy - noise, abs=1e-12)


def test_independent_dimensions_add_up() -> None:
    apart = GaussianChannel(torch.diag(CHANNEL.signal.diagonal()), CHANNEL.std)
    assert apart.information == pytest.approx(float(apart.marginal_information.sum()), abs=1e-12)
    assert apart.total_correlation == pytest.approx(0.0, abs=1e-12)
    assert float(CHANNEL.marginal_information.sum()) - CHANNEL.information == pytest.approx(
        CHANNEL.total_correlation, abs=1e-12
    )


def test_the_split_of_the_rate_holds() -> None:
    assert CHANNEL.rate == pytest.approx(CHANNEL.information + CHANNEL.mismatch, abs=1e-12)


def test_mismatch_is_the_kl_of_torch() -> None:
    zero, eye = torch.zeros(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    laws = [torch.distributions.MultivariateNormal(zero, cov) for cov in (CHANNEL.covariance, eye)]
    assert CHANNEL.mismatch == pytest.approx(float(torch.distributions.kl_divergence(*laws)), abs=1e-12)


def test_capacity_of_the_paper() -> None:
    """30 dimensions of signal power 1 with the noise that delta = 1.01 leaves: the paper's 69.4 nats."""
    std = torch.full((30,), math.sqrt(1 - 1 / 1.01), dtype=torch.float64)
    channel = GaussianChannel(torch.eye(30, dtype=torch.float64), std)
    assert channel.information == pytest.approx(predicted_capacity(30, 1.01), rel=1e-9)


def test_codes_have_the_channel_s_covariance(generator) -> None:
    mu, logvar = CHANNEL.codes(40_000, generator)
    error = 5 * math.sqrt(2 / 40_000) * float(CHANNEL.signal.diagonal().max())
    assert float((mu.T.cov() - CHANNEL.signal).abs().max()) < error
    torch.testing.assert_close(torch.exp(0.5 * logvar), CHANNEL.std.expand(40_000, -1))


def test_bad_channels_say_so() -> None:
    with pytest.raises(InputError, match=r"smallest noise is 0\.0"):
        GaussianChannel(torch.eye(2), torch.tensor([1.0, 0.0]))
