"""The remedy that re-encodes what the decoder makes of z."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lambda_vae.distributions import BernoulliLikelihood, GaussianLikelihood
from lambda_vae.errors import InputError
from lambda_vae.methods import Context
from lambda_vae.methods.latent_reconstruction import LatentReconstruction, latent_error
from lambda_vae.model import VAE
from lambda_vae.networks import mlp
from lambda_vae.objectives import ELBO
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import StandardNormalPrior
from lambda_vae.training import Trainer, TrainOptions

X = torch.rand(40, 6, generator=torch.Generator().manual_seed(0)).round()


def reencoding(weight):
    return LatentReconstruction(latent_weight=weight).strategy(Context(2, 2, 10, 6))


def trainer(strategy, likelihood=None, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = GaussianPosterior(8, 2), StandardNormalPrior(2), mlp(2, (8,), 6), likelihood or BernoulliLikelihood(6)
        vae = VAE(mlp(6, (8,)), *parts)
    options = TrainOptions(epochs=2, batch_size=10, learning_rate=1e-2, **options)
    return Trainer(vae, ELBO(), X, lambda x, _i, _g: x, options, strategy=strategy)


def weights(trained):
    return torch.cat([p.detach().flatten() for p in trained.vae.parameters()])


def test_a_weight_of_0_is_the_plain_vae_bit_for_bit_and_another_is_not():
    plain, neutral, acting = (trainer(s) for s in (None, reencoding(0.0), reencoding(1.0)))
    for one in (plain, neutral, acting):
        one.fit()
    assert torch.equal(weights(plain), weights(neutral))
    assert not torch.equal(weights(plain), weights(acting))
    assert "latent_error" in acting.history.to_record()
    assert "latent_error" not in neutral.history.to_record()


def test_the_error_is_that_of_a_linear_model_by_hand():
    """Decoder x = A z and code mu = B x: half |z - B A z|^2."""
    one = trainer(reencoding(1.0), GaussianLikelihood(6))
    a, b = nn.Linear(2, 6, bias=False), nn.Linear(6, 8, bias=False)
    one.vae.decoder, one.vae.encoder = a, b
    z = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        code = one.vae.posterior(b(a(z.view(-1, 2)))).mu.view(3, 5, 2)
        found = latent_error(one.stepper, SimpleNamespace(z=z))
    assert found.shape == (3, 5)
    torch.testing.assert_close(found, 0.5 * ((z - code) ** 2).sum(-1))


def test_what_is_recorded_at_z_is_the_gradient_of_the_reconstruction_alone():
    steps = []
    for strategy in (None, reencoding(5.0)):
        one = trainer(strategy)
        batch = one.draws.batch(one.draws.epoch(0)[0], 1.0, 0)
        steps.append(one.strategy.step(one.stepper, one.draws, batch))
    torch.testing.assert_close(steps[0].dlogp_dz, steps[1].dlogp_dz)


@pytest.mark.parametrize("weight", [-0.1, float("inf"), float("nan")])
def test_a_weight_out_of_range_is_refused(weight):
    with pytest.raises(InputError, match=r"latent_weight is .*; it must be a finite number, 0 or greater"):
        reencoding(weight)
