"""H[Z] on exact ground, and what Eq. 12 leaves out by taking H[Z_lambda] for H[Z]."""

import math

import pytest
import torch
from exact_models import GaussianChannel, mixture_entropy

from lambda_vae.distributions import GaussianMixture
from lambda_vae.equalization.theory import information_gain, sampling_logvar
from lambda_vae.estimation._mutual_information import mutual_information
from lambda_vae.estimation.entropy import aggregate_entropy, measured_information_gain


def channel(std: float) -> GaussianChannel:
    return GaussianChannel(torch.diag(torch.tensor([1.0, 0.3])), torch.full((2,), std))


@pytest.mark.parametrize("examples", [500, 4000])
@pytest.mark.parametrize("std", [0.4, 1.0])
def test_entropy_of_the_gaussian_channel(generator, std: float, examples: int):
    truth = channel(std)
    found = aggregate_entropy(*truth.codes(examples, generator), generator)
    apart = found.upper.value - found.lower.value
    assert 0 <= apart < 0.1
    assert found.lower.value == pytest.approx(truth.entropy, abs=4 * found.lower.stderr + apart)


def test_entropy_of_a_data_set_by_quadrature(generator, normal64):
    mu, logvar = normal64(30, 1), 0.5 * normal64(30, 1) - 1.0
    values = torch.tensor([aggregate_entropy(mu, logvar, generator, draws=10).lower.value for _ in range(20)])
    exact = mixture_entropy(GaussianMixture(mu, logvar))
    assert float(values.mean()) == pytest.approx(exact, abs=4 * float(values.std()) / math.sqrt(20))


def test_gain_and_the_assumption_of_equation_12(generator):
    """Noise of 0.6 squared by lambda = 2: Eq. 12 promises 1.02 nats, the channel gives 0.69."""
    plain, sampled = channel(0.6), channel(0.36)
    mu, logvar = plain.codes(4000, generator)
    found = measured_information_gain(mu, logvar, sampling_logvar(logvar, 2.0), generator)
    promised = float(information_gain(torch.exp(0.5 * logvar), 2.0).sum(-1).mean())
    assert found.predicted.value == pytest.approx(promised, abs=1e-9)
    assert found.gain.value == pytest.approx(found.predicted.value + found.entropy_change.value, abs=1e-12)
    exact_change = sampled.entropy - plain.entropy
    assert exact_change < -0.3
    assert found.entropy_change.value == pytest.approx(exact_change, abs=4 * found.entropy_change.stderr + 0.01)
    assert found.gain.value == pytest.approx(sampled.information - plain.information, abs=4 * found.gain.stderr + 0.01)


def test_bounds_on_the_gain_hold_where_the_estimates_are_saturated(generator):
    """16 dimensions, 200 examples: both informations read ln N, and Eq. 12 is refuted all the same."""
    plain, sampled = (GaussianChannel(torch.eye(16), torch.full((16,), std)) for std in (0.8, 0.64))
    mu, logvar = plain.codes(200, generator)
    found = measured_information_gain(mu, logvar, sampling_logvar(logvar, 2.0), generator)
    true_change = sampled.entropy - plain.entropy
    assert found.gain.value < sampled.information - plain.information
    assert found.entropy.lower.value < plain.entropy < found.entropy.at_most.value + 0.5
    assert true_change < found.entropy_change_at_most.value
    assert found.gain_at_most.value == pytest.approx(
        found.predicted.value + found.entropy_change_at_most.value, abs=1e-12
    )
    assert found.gain_at_most.value > sampled.information - plain.information


def test_gain_is_the_difference_of_two_estimates(normal64):
    mu, logvar = normal64(200, 3), normal64(200, 3) - 2.0
    generators = [torch.Generator().manual_seed(4) for _ in range(3)]
    found = measured_information_gain(mu, logvar, 2 * logvar, generators[0])
    apart = [
        mutual_information(mu, each, one).value for each, one in zip((logvar, 2 * logvar), generators[1:], strict=True)
    ]
    assert found.gain.value == pytest.approx(apart[1] - apart[0], abs=1e-12)


def test_no_exponent_no_gain(generator, normal64):
    mu, logvar = normal64(50, 2), normal64(50, 2)
    found = measured_information_gain(mu, logvar, logvar, generator)
    assert found.gain.value == found.predicted.value == found.entropy_change.value == 0.0


def test_nothing_from_unfit_codes(generator):
    fine, frozen = torch.zeros(5, 2), torch.full((5, 2), -torch.inf)
    assert "zero variance" in measured_information_gain(fine, fine, frozen, generator).gain.reason
    assert math.isnan(aggregate_entropy(fine[:1], fine[:1], generator).lower.value)
