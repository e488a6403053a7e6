"""I(X;Z) on exact ground: unbiased for a data set, between bounds for the law behind it, marked where it is capped."""

import math

import pytest
import torch
from exact_models import GaussianChannel, mixture_entropy, mixture_information, noisy

from lambda_vae.distributions import GaussianMixture
from lambda_vae.errors import InputError
from lambda_vae.estimation._mutual_information import information_bounds, marginal_information, mutual_information


def channel(signal: list[float], std: float) -> GaussianChannel:
    return GaussianChannel(torch.diag(torch.tensor(signal)), torch.full((len(signal),), std))


def repeated(count: int, estimate) -> tuple[float, float]:
    """Mean of repeated estimates and its standard error."""
    values = torch.tensor([estimate() for _ in range(count)], dtype=torch.float64)
    return float(values.mean()), float(values.std()) / math.sqrt(count)


@pytest.mark.parametrize(("examples", "dim"), [(2, 1), (40, 1), (15, 2)])
def test_unbiased_for_the_data_set_itself(generator, normal64, examples: int, dim: int):
    """X uniform on N examples: the truth is an integral over a mixture of N components."""
    mu, logvar = normal64(examples, dim), 0.5 * normal64(examples, dim) - 1.0
    exact = mixture_information(GaussianMixture(mu, logvar))
    mean, error = repeated(20, lambda: mutual_information(mu, logvar, generator, draws=20).value)
    assert mean == pytest.approx(exact, abs=4 * error)
    assert error < 0.03


@pytest.mark.parametrize("examples", [300, 1000, 4000])
@pytest.mark.parametrize("signal", [[0.0], [1.0], [3.0, 0.5], [1.0, 0.3, 0.01]])
def test_gaussian_channel_within_the_claimed_error(generator, signal: list[float], examples: int):
    truth = channel(signal, 0.7)
    bounds = information_bounds(*truth.codes(examples, generator), generator, draws=2)
    lower, upper = bounds.lower, bounds.upper
    assert lower.value <= upper.value + 1e-6
    assert lower.value - 4 * lower.stderr <= truth.information + 1e-6
    assert truth.information <= upper.value + 4 * upper.stderr + 1e-6
    assert not lower.saturated
    assert lower.value == pytest.approx(truth.information, abs=4 * lower.stderr + upper.value - lower.value + 1e-6)


def test_error_is_calibrated(generator):
    """Over many data sets the estimates scatter about the truth as their own standard errors say."""
    truth = channel([2.0, 0.5], 0.8)
    found = [mutual_information(*truth.codes(500, generator), generator) for _ in range(100)]
    scores = torch.tensor([(one.value - truth.information) / one.stderr for one in found])
    assert 0.8 < float(scores.square().mean().sqrt()) < 1.25


def test_bounds_hold_where_they_are_apart(generator):
    truth = channel([1.0] * 4, 0.3)
    sides = [information_bounds(*truth.codes(200, generator), generator) for _ in range(30)]
    lower = repeated(30, iter([side.lower.value for side in sides]).__next__)
    upper = repeated(30, iter([side.upper.value for side in sides]).__next__)
    assert lower[0] + 3 * lower[1] < truth.information < upper[0] - 3 * upper[1]
    assert all(side.lower.saturated for side in sides)


def test_channel_whose_signal_is_a_mixture(generator):
    """As in the synthetic experiments: clusters, and noise."""
    clusters = GaussianMixture(torch.tensor([[-2.0, 0.0], [2.0, 0.0], [0.0, 2.0]]).double(), torch.zeros(3, 2) - 2.0)
    std = 0.4
    exact = mixture_entropy(noisy(clusters, std)) - math.log(2 * math.pi * math.e * std**2)
    mu = clusters.rsample(torch.randn(3000, 3, generator=generator, dtype=torch.float64))
    found = information_bounds(mu, torch.full_like(mu, 2 * math.log(std)), generator)
    assert found.lower.value == pytest.approx(exact, abs=4 * found.lower.stderr)
    assert found.upper.value - found.lower.value < 0.02


def test_precision_against_the_plain_sum_in_float64(normal64):
    """30 dimensions with noise down to 0.01: within 1e-6 nats of what no multiplying out can cancel."""
    mu = normal64(400, 30)
    logvar = 2 * torch.linspace(math.log(0.01), 0.0, 30).double().expand(400, -1)
    mu, logvar = 0.02 * mu.float(), logvar.float()
    value = mutual_information(mu, logvar, torch.Generator().manual_seed(3)).value
    eps = torch.randn(400, 30, generator=torch.Generator().manual_seed(3)).double()
    mu, std = mu.double(), torch.exp(0.5 * logvar.double())
    z = mu + std * eps
    squares = torch.stack([((point - mu) / std).square().sum(-1) for point in z])
    plain = (-0.5 * squares).log_softmax(-1).diagonal().mean() + math.log(400)
    assert 0.5 < value < 5.9
    assert value == pytest.approx(float(plain), abs=1e-6)


def test_collapsed_codes_tell_nothing(generator):
    nothing = mutual_information(torch.zeros(50, 4), torch.zeros(50, 4), generator)
    assert nothing.value == pytest.approx(0.0, abs=1e-6)
    assert nothing.own_share == pytest.approx(1 / 50, rel=1e-6)
    assert nothing.gap.value == pytest.approx(math.log(50), abs=1e-6)


def test_planted_saturation_is_found(generator):
    truth = channel([1.0] * 30, 0.1)
    bounds = information_bounds(*truth.codes(500, generator), generator)
    assert truth.information > 60
    assert bounds.lower.value == pytest.approx(bounds.lower.cap, abs=1e-6)
    assert bounds.lower.cap == pytest.approx(math.log(500))
    assert bounds.lower.saturated
    assert bounds.upper.value > truth.information
    assert bounds.lower.gap.value == pytest.approx(0.0, abs=1e-6)


def test_marginals_are_those_of_the_channel(generator):
    signal = torch.tensor([[1.0, 0.6, 0.0], [0.6, 1.0, 0.0], [0.0, 0.0, 0.0]])
    truth = GaussianChannel(signal, torch.tensor([0.5, 1.0, 1.0]))
    found = marginal_information(*truth.codes(3000, generator), generator)
    for one, exact in zip(found, truth.marginal_information.tolist(), strict=True):
        assert one.value == pytest.approx(exact, abs=4 * one.stderr + 1e-6)
    assert found[2].value == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda mu, logvar: (mu[:1], logvar[:1]), "1 example;"),
        (lambda mu, logvar: (mu[:0], logvar[:0]), "0 examples;"),
        (lambda mu, logvar: (mu, logvar - torch.inf), "zero variance"),
        (lambda mu, logvar: (mu * torch.nan, logvar), "9 of 9 posteriors are not finite"),
    ],
)
def test_no_plausible_number_from_unfit_codes(generator, change, reason: str):
    bounds = information_bounds(*change(torch.zeros(9, 2), torch.zeros(9, 2)), generator)
    for one in (bounds.lower, bounds.upper, bounds.lower.gap):
        assert math.isnan(one.value)
        assert math.isnan(one.stderr)
        assert reason in one.reason
    assert not bounds.lower.saturated


def test_no_draws_is_bad_input(generator):
    with pytest.raises(InputError, match="0 draws"):
        mutual_information(torch.zeros(9, 2), torch.zeros(9, 2), generator, draws=0)


def test_same_generator_same_number():
    mu, logvar = torch.arange(8.0)[:, None], torch.zeros(8, 1)
    once, again = (mutual_information(mu, logvar, torch.Generator().manual_seed(1)) for _ in range(2))
    assert once == again
