"""The spaces in which samples and data are compared."""

import pytest
import torch
from sklearn.decomposition import PCA

from lambda_vae.distributions import BernoulliLikelihood
from lambda_vae.errors import InputError
from lambda_vae.generation import code_space, pca_space, pixel_space
from lambda_vae.model import VAE
from lambda_vae.networks import mlp
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import StandardNormalPrior


@pytest.fixture
def x(normal64):
    return (7.0 + normal64(200, 6) @ normal64(6, 6)).float()


def test_pca_is_scikit_learn_s(x, normal64):
    space, known = pca_space(torch.split(x, 60), components=3), PCA(3).fit(x.double().numpy())
    new = normal64(20, 6).float()
    scores = torch.from_numpy(known.transform(new.double().numpy()))
    assert torch.allclose(space.embed(new).abs(), scores.abs(), atol=1e-8)  # a direction may point either way
    share = known.explained_variance_ratio_.sum()
    assert space.name == f"PCA of 200 training examples, 3 directions with {share:.0%} of the variance"


def test_pca_takes_no_direction_without_variance(normal64):
    flat = normal64(50, 2) @ normal64(2, 8)
    space = pca_space([flat])
    assert space.embed(flat).shape == (50, 2)
    assert torch.allclose(torch.cdist(space.embed(flat), space.embed(flat)), torch.cdist(flat, flat), atol=1e-6)


def test_pca_of_nothing_is_refused():
    with pytest.raises(InputError, match="there are 1 training examples"):
        pca_space([torch.ones(1, 3)])
    with pytest.raises(InputError, match="all training examples are the same"):
        pca_space([torch.ones(9, 3)])


def test_pixels_are_left_alone(x):
    assert torch.equal(pixel_space().embed(x), x.double())
    assert pixel_space().name == "pixels"


def test_codes_are_the_means_of_the_named_encoder(x):
    posterior, prior = GaussianPosterior(5, 2), StandardNormalPrior(2)
    vae = VAE(mlp(6, (5,)), posterior, prior, mlp(2, (5,), 6), BernoulliLikelihood(6))
    space = code_space(vae, "that run", rows_per_pass=7)
    assert torch.allclose(space.embed(x), vae.encode(x).marginals().mu.double(), atol=1e-6)
    assert not space.embed(x).requires_grad
    assert space.name == "codes (mu) of that run"
