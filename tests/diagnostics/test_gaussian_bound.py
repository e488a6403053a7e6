"""The Gaussian upper bounds: exact for the Gaussian channel, above the truth for mixtures, never saturated."""

import math

import pytest
import torch
from exact_models import GaussianChannel, mixture_entropy, mixture_information

from lambda_vae.distributions import GaussianMixture
from lambda_vae.estimation.gaussian_bound import gaussian_entropy, gaussian_information


@pytest.mark.parametrize("examples", [300, 3000])
@pytest.mark.parametrize("std", [0.01, 0.5])
def test_exact_for_the_gaussian_channel(generator, std: float, examples: int):
    signal = torch.tensor([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 0.1]])
    truth = GaussianChannel(signal, torch.full((3,), std))
    codes = truth.codes(examples, generator)
    for found, exact in (
        (gaussian_information(*codes), truth.information),
        (gaussian_entropy(*codes), truth.entropy),
    ):
        assert found.value == pytest.approx(exact, abs=4 * found.stderr)


def test_error_is_calibrated(generator):
    truth = GaussianChannel(torch.tensor([[1.0, 0.5], [0.5, 2.0]]), torch.tensor([0.3, 0.6]))
    found = [gaussian_information(*truth.codes(400, generator)) for _ in range(150)]
    scores = torch.tensor([(one.value - truth.information) / one.stderr for one in found])
    assert 0.85 < float(scores.square().mean().sqrt()) < 1.2


@pytest.mark.parametrize("std", [0.05, 1.0])
def test_no_bias_from_the_number_of_examples(generator, std: float):
    """12 dimensions, 100 examples: uncorrected it would be low by 0.4 nats without noise, by 0.1 at a noise of 1."""
    truth = GaussianChannel(torch.eye(12), torch.full((12,), std))
    values = torch.tensor([gaussian_information(*truth.codes(100, generator)).value for _ in range(200)])
    assert float(values.mean()) == pytest.approx(truth.information, abs=0.05)


def test_error_counts_noise_that_varies_with_x(generator):
    """Half of the examples have twice the noise: against the scatter over data sets."""

    def drawn(count: int):
        mu = torch.randn(count, 1, generator=generator, dtype=torch.float64)
        wide = torch.rand(count, 1, generator=generator, dtype=torch.float64) < 0.5
        return mu, torch.where(wide, -1.0, -3.0).double()

    found = [gaussian_information(*drawn(400)) for _ in range(150)]
    scatter = float(torch.tensor([one.value for one in found]).std())
    assert sum(one.stderr for one in found) / 150 == pytest.approx(scatter, rel=0.25)


def test_above_the_truth_for_mixtures(normal64):
    mu, logvar = 2 * normal64(20, 2), 0.3 * normal64(20, 2) - 1.0
    law = GaussianMixture(mu, logvar)
    assert gaussian_entropy(mu, logvar).value > mixture_entropy(law) + 0.1
    assert gaussian_information(mu, logvar).value > mixture_information(law) + 0.1
    assert "upper bound" in gaussian_information(mu, logvar).reason


def test_nothing_from_unfit_codes():
    assert math.isnan(gaussian_entropy(torch.zeros(1, 2), torch.zeros(1, 2)).value)
    assert "zero variance" in gaussian_information(torch.zeros(4, 2), torch.full((4, 2), -torch.inf)).reason
