"""The parts of the KL: they add up exactly, are those of the Gaussian channel, and Eq. 8 holds."""

import math

import pytest
import torch
from exact_models import GaussianChannel, mixture_information, mixture_mismatch, mixture_total_correlation

from lambda_vae.distributions import DiagGaussian, GaussianMixture
from lambda_vae.estimation._kl_split import kl_split, mismatch_identity

CHANNEL = GaussianChannel(
    torch.tensor([[0.8, 0.5, 0.0], [0.5, 0.6, 0.0], [0.0, 0.0, 0.0]]), torch.tensor([0.4, 0.6, 1.0])
)


@pytest.mark.parametrize("draws", [1, 3])
def test_the_parts_add_up_exactly(generator, normal64, draws: int):
    split = kl_split(normal64(200, 4), normal64(200, 4), generator, draws=draws)
    information = split.information.lower.value
    assert split.rate.value == pytest.approx(information + split.mismatch.value, abs=1e-12)
    parts = information + split.total_correlation.value + split.dimension_wise_kl.value
    assert split.rate.value == pytest.approx(parts, abs=1e-12)
    assert split.dimension_wise_kl.value == pytest.approx(sum(one.value for one in split.dimension_kl), abs=1e-12)
    assert split.rate.value == pytest.approx(split.rate_closed, abs=4 * split.rate.stderr)


@pytest.mark.parametrize("examples", [500, 4000])
def test_the_parts_are_those_of_the_gaussian_channel(generator, examples: int):
    split = kl_split(*CHANNEL.codes(examples, generator), generator)
    bias = split.information.upper.value - split.information.lower.value
    pairs = [
        (split.rate, CHANNEL.rate),
        (split.mismatch, CHANNEL.mismatch),
        (split.total_correlation, CHANNEL.total_correlation),
        (split.dimension_wise_kl, float(CHANNEL.dimension_wise_kl.sum())),
        *zip(split.dimension_kl, CHANNEL.dimension_wise_kl.tolist(), strict=True),
        *zip(split.marginals, CHANNEL.marginal_information.tolist(), strict=True),
    ]
    for found, exact in pairs:
        assert found.value == pytest.approx(exact, abs=4 * found.stderr + bias)
        assert found.reason == ""


def test_the_parts_of_a_data_set_by_quadrature(generator, normal64):
    """X uniform on 12 examples: no law behind it, no bias."""
    mu, logvar = normal64(12, 2), 0.3 * normal64(12, 2) - 1.0
    law = GaussianMixture(mu, logvar)
    splits = [kl_split(mu, logvar, generator, draws=10) for _ in range(20)]
    for read, exact in (
        (lambda s: s.information.lower.value, mixture_information(law)),
        (lambda s: s.mismatch.value, mixture_mismatch(law)),
        (lambda s: s.total_correlation.value, mixture_total_correlation(law)),
    ):
        values = torch.tensor([read(split) for split in splits], dtype=torch.float64)
        assert float(values.mean()) == pytest.approx(exact, abs=4 * float(values.std()) / math.sqrt(20))


def test_another_prior(generator, normal64):
    mu, logvar = normal64(300, 2), normal64(300, 2)
    p = DiagGaussian(torch.tensor([1.0, -1.0]), torch.tensor([0.3, 0.0]))
    split = kl_split(mu, logvar, generator, prior=p)
    laws = [
        torch.distributions.Normal(law.mu.double(), torch.exp(0.5 * law.logvar.double()))
        for law in (DiagGaussian(mu, logvar), p)
    ]
    by_torch = torch.distributions.kl_divergence(*laws).sum(-1).mean()
    assert split.rate_closed == pytest.approx(float(by_torch), abs=1e-9)
    assert split.rate.value == pytest.approx(float(by_torch), abs=4 * split.rate.stderr)


def test_a_prior_without_factors_leaves_those_parts_out(generator):
    p = GaussianMixture(torch.tensor([[-1.0, -1.0], [1.0, 1.0]]), torch.zeros(2, 2))
    split = kl_split(p.means.repeat(100, 1), torch.zeros(200, 2), generator, prior=p)
    assert split.mismatch.value == pytest.approx(0.0, abs=4 * split.mismatch.stderr + 1e-6)
    assert split.rate.value == pytest.approx(split.information.lower.value + split.mismatch.value, abs=1e-12)
    assert split.total_correlation.value > 0.05
    assert math.isnan(split.dimension_wise_kl.value)
    assert math.isnan(split.rate_closed)
    assert {one.reason for one in split.dimension_kl} == {"the prior does not factorise over the dimensions"}


def test_a_saturated_split_says_so(generator):
    truth = GaussianChannel(torch.eye(20), torch.full((20,), 0.1))
    split = kl_split(*truth.codes(200, generator), generator)
    assert split.information.lower.saturated
    for one in (split.mismatch, split.total_correlation):
        assert "upper bound" in one.reason
    assert split.mismatch.value > truth.mismatch
    most = split.information_at_most
    assert split.information.lower.value < truth.information < most.value + 4 * most.stderr
    assert split.information_at_most is not split.information.upper
    assert truth.information < split.marginal_sum.value + 4 * split.marginal_sum.stderr
    assert split.marginal_sum.value > sum(one.value for one in split.marginals)
    assert not any(one.saturated for one in split.marginals)
    assert split.dimension_wise_kl.reason == ""


def test_nothing_from_unfit_codes(generator):
    split = kl_split(torch.zeros(5, 3), torch.full((5, 3), torch.nan), generator)
    assert len(split.marginals) == len(split.dimension_kl) == 3
    for one in (split.rate, split.mismatch, split.information.upper, *split.dimension_kl, *split.marginals):
        assert math.isnan(one.value)
        assert one.reason == "5 of 5 posteriors are not finite"


@pytest.mark.parametrize("examples", [100, 3000])
def test_equation_8(generator, examples: int):
    both = mismatch_identity(*CHANNEL.codes(examples, generator), generator, draws=2)
    assert both.difference.value == pytest.approx(0.0, abs=4 * both.difference.stderr)
    assert both.left.value - both.right.value == pytest.approx(both.difference.value, abs=1e-12)
    assert both.difference.stderr < 0.15
    if examples == 3000:
        assert both.left.value == pytest.approx(CHANNEL.mismatch, abs=4 * both.left.stderr + 0.01)


def test_equation_8_needs_codes(generator):
    assert "1 example" in mismatch_identity(torch.zeros(1, 2), torch.zeros(1, 2), generator).difference.reason
