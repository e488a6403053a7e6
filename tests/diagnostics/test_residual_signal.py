import pytest
import torch
from linear_gaussian import NOISE_VAR, draw, equalized, linear_vae, loadings
from torch import nn

from lambda_vae.diagnostics.residual import residual_signal
from lambda_vae.distributions import BernoulliLikelihood, LogisticMixtureLikelihood
from lambda_vae.distributions.likelihood import Likelihood
from lambda_vae.model import VAE
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import StandardNormalPrior

TRUE = loadings([8.0, 4.0, 3.0, 2.0])


def without(columns):
    """The true loadings with these columns set to zero."""
    weights = TRUE.clone()
    weights[:, columns] = 0.0
    return weights


def left(vae, x, carried=(True,) * 4, exponent=None):
    mask, resting = torch.tensor(carried), torch.zeros(4, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    return residual_signal(equalized(vae, exponent), x.split(500), mask, resting, generator=generator)


def test_true_model_leaves_nothing():
    signal = left(linear_vae(TRUE), draw(TRUE, 2000))
    assert signal.directions == 0
    assert 1.0 < signal.strongest < signal.floor < 1.6


@pytest.mark.parametrize("missing", [[0], [3], [1, 2], [0, 1, 2, 3]])
def test_every_missing_factor_is_a_direction(missing):
    signal = left(linear_vae(without(missing)), draw(TRUE, 2000))
    assert signal.directions == len(missing)


def test_strongest_eigenvalue_is_one_plus_the_information_left():
    signal = left(linear_vae(without([0])), draw(TRUE, 20_000), carried=(False, True, True, True))
    assert signal.variances == pytest.approx((9.0,), rel=0.05)
    assert signal.noise == pytest.approx(1.0, rel=0.05)
    assert signal.noise_std == pytest.approx(NOISE_VAR**0.5)


def test_narrow_sampling_noise_is_not_taken_for_signal():
    exponent = torch.full((4,), 4.0, dtype=torch.float64)
    assert left(linear_vae(TRUE), draw(TRUE, 2000), exponent=exponent).directions == 0


def test_noise_of_a_resting_dimension_is_not_taken_for_signal():
    # the decoder reacts to dimension 3, the encoder sends noise only, the data hold no such factor
    vae = linear_vae(TRUE, encoder=without([3]), std=[None, None, None, 1.0])
    x = draw(without([3]), 2000)
    assert left(vae, x).directions == 0
    assert left(vae, x, carried=(True, True, True, False)).directions == 0


def test_bernoulli_data_with_and_without_shared_causes():
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    factor = torch.randn(3000, 1, generator=generator)
    shared = torch.rand(3000, 10, generator=generator).lt(torch.sigmoid(2 * factor)).float()
    alone = torch.rand(3000, 10, generator=generator).lt(0.5).float()
    vae = VAE(
        nn.Identity(), GaussianPosterior(10, 4), StandardNormalPrior(4), nn.Linear(4, 10), BernoulliLikelihood(10)
    )
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter.zero_()
    assert left(vae, alone).directions == 0
    assert left(vae, shared).directions == 1


def test_nan_data_leave_no_plausible_number():
    x = draw(TRUE, 100)
    x[0, 0] = float("nan")
    signal = left(linear_vae(TRUE), x)
    assert signal.strongest != signal.strongest
    assert signal.directions == 0


class Scored:
    """A law that cannot be drawn from."""

    def __init__(self, theta):
        self.theta = theta

    def log_prob(self, x):
        return -(x - self.theta).abs().sum(-1)


class Odd(Likelihood):
    def forward(self, theta):
        return Scored(theta)


def test_likelihood_without_draws_is_not_judged():
    vae = linear_vae(TRUE)
    vae.likelihood = Odd(12)
    assert left(vae, draw(TRUE, 50)) is None


def test_grey_values_with_and_without_shared_causes():
    """A logistic mixture of two components over 3x3 pixels; what they share is one brightness."""
    generator = torch.Generator().manual_seed(1)
    theta = torch.tensor([0.0, 0.5, -0.2, 0.3, -2.0, -1.5])
    decoder = nn.Sequential(nn.Linear(4, 54), nn.Unflatten(1, (6, 3, 3)))
    likelihood = LogisticMixtureLikelihood(9, 2)
    vae = VAE(nn.Identity(), GaussianPosterior(9, 4), StandardNormalPrior(4), decoder, likelihood)
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter.zero_()
        decoder[0].bias.copy_(theta.repeat_interleave(9))
        alone = likelihood(theta.view(1, 6, 1, 1).expand(2000, 6, 3, 3)).sample(generator)
        brighter = 0.2 * torch.randn(2000, 1, generator=generator)
        shared = ((alone + brighter).clamp(0, 1) * 255).round() / 255
    assert left(vae, alone).directions == 0
    assert left(vae, shared).directions == 1
