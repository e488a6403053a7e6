"""The corridor: same noise, same trace; K is an axis; encode and decode are the parts of forward."""

import copy
import pickle

import pytest
import torch
from torch import Tensor

from lambda_vae.distributions import BernoulliLikelihood
from lambda_vae.equalization import Equalization
from lambda_vae.model import VAE, Trace
from lambda_vae.networks import mlp
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import StandardNormalPrior

K, B, F, D = 3, 5, 8, 2


@pytest.fixture
def vae() -> VAE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return VAE(
            mlp(F, (6,)), GaussianPosterior(6, D), StandardNormalPrior(D), mlp(D, (6,), F), BernoulliLikelihood(F)
        )


def inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(B, F, generator=generator).round(), torch.randn(K, B, D, generator=generator)


def test_trace_holds_what_went_by(vae: VAE) -> None:
    x, eps = inputs()
    trace: Trace = vae.with_equalization(Equalization(torch.tensor([1.0, 3.0])))(x, eps)
    assert vae.latent_dim == D
    assert trace.x is x
    assert trace.eps is eps
    assert trace.z.shape == (K, B, D)
    assert trace.p_x.log_prob(x).shape == (K, B)
    assert trace.p_x.mean.shape == (K, B, F)
    assert trace.p_z.mu.shape == (D,)
    assert torch.equal(trace.z, trace.q.mu + trace.q_sampled.std * eps)
    assert torch.equal(trace.q_sampled.std[:, 0], trace.q.std[:, 0])
    assert (trace.q_sampled.std[:, 1] < trace.q.std[:, 1])[trace.q.std[:, 1] < 1].all()


def test_same_noise_gives_the_same_trace_and_draws_nothing(vae: VAE) -> None:
    before = torch.random.get_rng_state()
    first, second = vae(*inputs()), vae(*inputs())
    assert torch.equal(first.z, second.z)
    assert torch.equal(first.p_x.mean, second.p_x.mean)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_encode_and_decode_are_the_parts_of_forward(vae: VAE) -> None:
    x, eps = inputs()
    trace = vae(x, eps)
    assert torch.equal(vae.encode(x).mu, trace.q.mu)
    assert torch.equal(vae.decode(trace.z).mean, trace.p_x.mean)
    assert vae.decode(trace.z[0, 0]).mean.shape == (F,)
    torch.testing.assert_close(vae.decode(trace.z[1, 2]).mean, trace.p_x.mean[1, 2])


def test_samples_do_not_meet(vae: VAE) -> None:
    x, eps = inputs()
    torch.testing.assert_close(vae(x, eps[1:2]).p_x.mean[0], vae(x, eps).p_x.mean[1])


def test_gradient_of_the_noise_does_not_reach_the_exponent_one_dimension_over(vae: VAE) -> None:
    x, eps = inputs()
    exponent = torch.tensor([2.0, 3.0], requires_grad=True)
    (slope,) = torch.autograd.grad(vae.with_equalization(Equalization(exponent))(x, eps).z[..., 0].sum(), exponent)
    assert slope[0] != 0
    assert slope[1] == 0


def test_lambda_is_no_part_of_the_weights_and_goes_where_the_model_goes(vae: VAE) -> None:
    keys = list(vae.state_dict())
    vae.equalization = Equalization(torch.tensor([1.0, 3.0]), delta=1.1)
    assert list(vae.state_dict()) == keys
    x, eps = inputs()
    z = vae(x, eps).z
    assert torch.equal(copy.deepcopy(vae)(x, eps).z, z)
    assert torch.equal(pickle.loads(pickle.dumps(vae))(x, eps).z, z)
    plain = vae.with_equalization(Equalization())
    assert torch.equal(plain(x, eps).q_sampled.std, vae.encode(x).std)
    assert torch.equal(vae(x, eps).z, z)  # the model it was made of is as it was
    assert plain.decoder is vae.decoder
    wide = vae.double()(x.double(), eps.double())
    assert wide.z.dtype == torch.float64
    torch.testing.assert_close(wide.z.float(), z)
    assert torch.equal(vae.bfloat16().equalization.exponent, torch.tensor([1.0, 3.0]))


def test_prior_is_standard_normal_and_follows_the_model(vae: VAE) -> None:
    p_z = vae.double().p_z()
    assert p_z.mu.dtype == torch.float64
    assert torch.equal(p_z.mu, torch.zeros(D, dtype=torch.float64))
    assert torch.equal(p_z.std, torch.ones(D, dtype=torch.float64))
    assert "prior.zeros" not in vae.state_dict()  # it carries nothing


def test_state_comes_back(vae: VAE) -> None:
    torch.manual_seed(1)
    other = VAE(mlp(F, (6,)), GaussianPosterior(6, D), StandardNormalPrior(D), mlp(D, (6,), F), BernoulliLikelihood(F))
    assert not torch.equal(other(*inputs()).z, vae(*inputs()).z)
    other.load_state_dict(vae.state_dict())
    assert torch.equal(other(*inputs()).z, vae(*inputs()).z)
