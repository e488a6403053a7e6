"""Collapse that a rotation hides: planted, and counted by directions."""

import math
from importlib import import_module

import pytest
import torch
from linear_gaussian import draw, linear_vae, loadings
from torch.distributions import MultivariateNormal

from lambda_vae.diagnostics import diagnose
from lambda_vae.diagnostics.covariance import StreamedCovariance
from lambda_vae.diagnostics.directions import MOST_DIMENSIONS, CodeDirections, code_directions

CARRIED = [8.0, 4.0, 2.0]


def rotation(dim, seed=0):
    return torch.linalg.qr(torch.randn(dim, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))[0]


def covariance_of(mu, batch=100):
    seen = StreamedCovariance(mu.shape[1])
    for part in mu.split(batch):
        seen.add(part)
    return seen


def directions_of(mu, sampling_var=None):
    return code_directions(covariance_of(mu), torch.ones(mu.shape[1]) if sampling_var is None else sampling_var)


def look(weights, examples=2000):
    return diagnose(
        linear_vae(weights), draw(weights, examples), generator=torch.Generator().manual_seed(0), iw_samples=4
    )


def test_collapse_is_found_behind_a_rotation():
    straight, turned = loadings([*CARRIED, 0.0, 0.0, 0.0]), loadings([*CARRIED, 0.0, 0.0, 0.0]) @ rotation(6)
    before, after = look(straight), look(turned)
    assert (before.active_units, before.active_directions) == (3, 3)
    assert (after.active_units, after.active_directions) == (6, 3)
    assert "directions" not in before.verdict
    assert after.verdict.startswith("6 of 6 dimensions are in use, but together they move along 3 directions only")


def test_axes_that_vary_apart_are_the_directions():
    report = look(loadings(CARRIED))
    assert report.directions.capacity == pytest.approx(float(report.snr_capacity.sum()), rel=2e-3)
    assert report.active_directions == 3
    assert report.verdict == "3 of 3 dimensions are in use."


def test_capacity_is_the_information_of_the_joint_channel(normal64):
    """Outside witness: torch's own entropies of z and of z given x."""
    mu = normal64(4000, 4) @ torch.tensor([[2.0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0.5, 0.5], [0, 0, 0, 0.1]]).double()
    noise = torch.tensor([0.2, 1.0, 0.5, 2.0]).double()
    z = MultivariateNormal(torch.zeros(4).double(), torch.cov(mu.T) + noise.diag())
    given_x = MultivariateNormal(torch.zeros(4).double(), noise.diag())
    assert directions_of(mu, noise).capacity == pytest.approx(float(z.entropy() - given_x.entropy()), rel=1e-10)


def test_capacity_of_drawn_codes_agrees_within_its_error(normal64):
    """Monte Carlo: ln p(z|x) - ln p(z) over draws of a Gaussian channel."""
    mixing, noise = torch.tensor([[1.5, 0.7], [0.0, 0.4]]).double(), torch.tensor([0.3, 0.6]).double()
    mu = normal64(40_000, 2) @ mixing
    z = mu + noise.sqrt() * torch.randn(mu.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    zero = torch.zeros(2).double()
    drawn = MultivariateNormal(zero, noise.diag()).log_prob(z - mu)
    drawn = drawn - MultivariateNormal(zero, mixing.T @ mixing + noise.diag()).log_prob(z)
    error = float(drawn.std()) / math.sqrt(len(drawn))
    assert directions_of(mu, noise).capacity == pytest.approx(float(drawn.mean()), abs=4 * error)


@pytest.mark.parametrize("seed", range(5))
def test_rotation_leaves_directions_alone_and_raises_the_sum_over_axes(normal64, seed):
    mu = normal64(1000, 8) * torch.tensor([3.0, 2, 1, 0.5, 0, 0, 0, 0]).double()
    turned = mu @ rotation(8, seed)
    here, there = directions_of(mu), directions_of(turned)
    torch.testing.assert_close(here.ratio, there.ratio, atol=1e-9, rtol=0)
    assert here.active == there.active == 4
    single = 0.5 * torch.log1p(turned.var(0)).sum()
    assert there.capacity < single


def test_batches_add_up_to_the_whole(normal64):
    mu = normal64(257, 3) + 100.0
    torch.testing.assert_close(covariance_of(mu, 10).unbiased, torch.cov(mu.T), atol=1e-9, rtol=1e-9)


def test_fewer_examples_than_dimensions_cannot_be_told():
    report = look(loadings([*CARRIED, 0.0, 0.0, 0.0]), examples=6)
    assert report.active_directions is None
    assert report.to_record()["snr_capacity_joint"] is None
    assert "directions" not in report.verdict


def test_wide_codes_are_left_out(monkeypatch):
    monkeypatch.setattr(import_module("lambda_vae.diagnostics.one_pass"), "MOST_DIMENSIONS", 5)
    assert look(loadings([*CARRIED, 0.0, 0.0, 0.0])).active_directions is None
    assert MOST_DIMENSIONS >= 1024


def test_nan_is_told():
    found = directions_of(torch.tensor([[1.0, float("nan")], [2.0, 0.0], [0.0, 1.0]]).double())
    assert math.isnan(found.active)
    assert math.isnan(found.capacity)


def test_threshold_is_that_of_an_active_unit():
    assert CodeDirections(torch.tensor([1.0, 0.011, 0.009]).double()).active == 2
