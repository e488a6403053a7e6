"""Drawn examples and their ELBO, on linear-Gaussian models whose every number is known."""

import math

import pytest
import torch
from diagnostics.linear_gaussian import FEATURES, NOISE_VAR, draw, equalized, linear_vae, loadings

from lambda_vae.distributions import BernoulliLikelihood
from lambda_vae.errors import InputError
from lambda_vae.generation import Judge, aggregate_codes, draw_examples, elbo_under, fit_gaussian, prior_sampler
from lambda_vae.model import VAE
from lambda_vae.networks import mlp
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import StandardNormalPrior

pytestmark = pytest.mark.usefixtures("float64")

N = 4000


@pytest.fixture
def weights():
    return loadings([20.0, 4.0, 1.0])


def covariance(weights):
    """Of x under the model."""
    return weights @ weights.T + NOISE_VAR * torch.eye(FEATURES)


def cross_entropy(own, judged):
    """-E[ln N(x; 0, judged)] of x ~ N(0, own), nats."""
    log_det = torch.linalg.slogdet(2.0 * math.pi * judged).logabsdet
    return 0.5 * (log_det + torch.linalg.solve(judged, own).diagonal().sum())


def within(reading, known, errors=4.5):
    return abs(float(reading.value) - float(known)) < errors * float(reading.stderr)


def test_examples_have_the_covariance_of_the_model(weights, generator):
    vae = linear_vae(weights)
    x = draw_examples(vae, prior_sampler(vae.p_z()), 20_000, generator)
    products = x[:, :, None] * x[:, None]
    assert ((products.mean(0) - covariance(weights)).abs() < 4.5 * products.std(0) / 20_000**0.5).all()


def test_codes_of_the_model_s_own_data_follow_its_prior(weights, generator):
    z = aggregate_codes(linear_vae(weights), torch.split(draw(weights, 20_000), 700), generator)
    products = z[:, :, None] * z[:, None]
    assert ((products.mean(0) - torch.eye(3)).abs() < 4.5 * products.std(0) / 20_000**0.5).all()


def test_codes_are_drawn_from_the_law_that_is_sampled(weights, generator):
    vae, x = linear_vae(weights), draw(weights, 50)[:1].expand(20_000, -1)
    exponent = torch.tensor([1.0, 2.0, 3.0])
    z = aggregate_codes(equalized(vae, exponent), [x], generator)
    std = vae.encode(x[:1]).std[0] ** exponent
    assert ((z.std(0) / std - 1.0).abs() < 4.5 / (2 * 20_000) ** 0.5).all()


def test_prior_samples_score_minus_their_entropy_where_the_posterior_is_exact(weights, generator):
    vae = linear_vae(weights)
    x = draw_examples(vae, prior_sampler(vae.p_z()), N, generator)
    reading = elbo_under(Judge("own", vae), x, generator)
    own = covariance(weights)
    assert within(reading, -cross_entropy(own, own))
    assert float(reading.stderr) < 0.06  # sqrt(F/2) / sqrt(N) = 0.04, and the noise of q
    assert reading.unit == "nats per example"


def test_another_judge_gives_the_cross_entropy(weights, generator):
    vae, other = linear_vae(weights), loadings([2.0, 8.0, 3.0], seed=5)
    x = draw_examples(vae, prior_sampler(vae.p_z()), N, generator)
    reading = elbo_under(Judge("other", linear_vae(other)), x, generator)
    assert within(reading, -cross_entropy(covariance(weights), covariance(other)))


def test_a_judge_with_lambda_gives_its_valid_bound(weights, generator):
    vae = equalized(linear_vae(weights), torch.tensor([2.0, 2.0, 2.0]))
    x = draw_examples(vae, prior_sampler(vae.p_z()), N, generator)
    reading = elbo_under(Judge("lambda", vae), x, generator)
    var = vae.encode(x[:1]).std[0].square().detach()
    gap = 0.5 * (var - 1.0 - var.log()).sum()  # KL(N(0, var^2) || N(0, var)): what the narrow law loses
    assert within(reading, -cross_entropy(covariance(weights), covariance(weights)) - gap)


def test_the_exact_aggregate_posterior_is_found_where_the_prior_is_not(weights, generator):
    """Codes of a scaled encoder: samples of the fit score as the data does, samples of the prior do not."""
    x = 2.0 * draw(weights, N)
    vae = linear_vae(weights)
    fit = fit_gaussian(aggregate_codes(vae, [x], generator))
    judge = Judge("truth", linear_vae(weights))
    spread = [draw_examples(vae, s, N, generator).square().sum(1).mean() for s in (prior_sampler(vae.p_z()), fit)]
    assert spread[1] > 1.5 * spread[0]
    assert float(elbo_under(judge, x, generator).value) < float(elbo_under(judge, x / 2.0, generator).value)


def test_scores_that_are_not_finite_are_nan(weights, generator):
    x = draw(weights, 10)
    x[3] = torch.nan
    assert math.isnan(elbo_under(Judge("own", linear_vae(weights)), x, generator).value)


def test_what_cannot_be_scored_or_drawn_is_refused(weights, generator):
    vae = linear_vae(weights)
    judge, prior = Judge("own", vae), prior_sampler(vae.p_z())
    with pytest.raises(InputError, match="there are no samples to score"):
        elbo_under(judge, torch.zeros(0, FEATURES), generator)
    with pytest.raises(InputError, match="the samples have 3 features and own 12"):
        elbo_under(judge, torch.zeros(5, 3), generator)
    with pytest.raises(InputError, match="n is 0; ask for at least one"):
        draw_examples(vae, prior, 0, generator)
    with pytest.raises(InputError, match="there are no examples to encode"):
        aggregate_codes(vae, [], generator)


def test_bernoulli_examples_are_zeros_and_ones(generator):
    vae = VAE(mlp(6, (5,)), GaussianPosterior(5, 2), StandardNormalPrior(2), mlp(2, (5,), 6), BernoulliLikelihood(6))
    x = draw_examples(vae, prior_sampler(vae.p_z()), 50, generator)
    assert set(x.unique().tolist()) == {0.0, 1.0}
