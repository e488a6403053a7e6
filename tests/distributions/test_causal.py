"""An autoregressive p(x|z): it sums to one, draws follow it, and the corridor needs to know nothing of it."""

from itertools import product

import pytest
import torch
from torch import Tensor

from lambda_vae.diagnostics.gradients import scores
from lambda_vae.distributions import BernoulliLikelihood, Causal, CausalLikelihood, GaussianLikelihood
from lambda_vae.distributions.base import Independent, LikelihoodDistribution, Sampleable
from lambda_vae.errors import InputError
from lambda_vae.model import VAE
from lambda_vae.networks import ContextMaps, ImageShape, PixelCNN, PixelCNNSizes, decode_pixels, mlp
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import StandardNormalPrior

SHAPE, D = ImageShape(1, 2, 3), 2


@pytest.fixture
def vae() -> VAE:
    network = PixelCNN(SHAPE, PixelCNNSizes(8, 2), 1, rows=True)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(3.0)  # so that pixels depend on each other and on z
    likelihood = CausalLikelihood(6, network, BernoulliLikelihood(6), decode_pixels)
    decoder = ContextMaps(D, SHAPE, 8)
    return VAE(mlp(6, (5,)), GaussianPosterior(5, D), StandardNormalPrior(D), decoder, likelihood)


def points(*shape: int) -> Tensor:
    return torch.randn(*shape, D, generator=torch.Generator().manual_seed(0))


EVERY_IMAGE = torch.tensor(list(product((0.0, 1.0), repeat=6)))


def test_all_images_together_have_probability_one(vae: VAE) -> None:
    for z in points(3):
        log_p = vae.decode(z.expand(64, D)).log_prob(EVERY_IMAGE).double()
        torch.testing.assert_close(log_p.exp().sum(), torch.tensor(1.0, dtype=torch.float64), rtol=1e-5, atol=0)
        assert log_p.std() > 0.1


def test_pixels_are_not_independent(vae: VAE) -> None:
    p_x = vae.decode(points(1).expand(64, D)).given(EVERY_IMAGE)
    assert p_x.logits[:, 0].std() < 1e-6
    assert (p_x.logits[:, 1:].std(0) > 1e-3).all()


def test_draws_follow_the_law(vae: VAE) -> None:
    """4000 images against 64 probabilities: a chi-square of 63 degrees of freedom stays below 110 in 999 of 1000."""
    z = points(1).expand(4000, D)
    x = vae.decode(z).sample(torch.Generator().manual_seed(1))
    number = (x @ 2.0 ** torch.arange(5, -1, -1)).long()
    expected = 4000 * vae.decode(z[:64]).log_prob(EVERY_IMAGE).detach().exp()
    chi_square = (torch.bincount(number, minlength=64) - expected).square() / expected
    assert chi_square.sum() < 110


def test_greedy_takes_the_likeliest_pixel_given_those_before(vae: VAE) -> None:
    p_x = vae.decode(points(2, 5))
    x = p_x.greedy()
    assert x.shape == (2, 5, 6)
    assert torch.equal(x, (p_x.given(x).logits > 0).float())


def test_samples_and_examples_are_axes(vae: VAE) -> None:
    z, x = points(3, 4), EVERY_IMAGE[[3, 17, 40, 63]]
    log_p = vae.decode(z).log_prob(x)
    assert log_p.shape == (3, 4)
    torch.testing.assert_close(log_p[2, 1], vae.decode(z[2, 1]).log_prob(x[1]))
    assert scores(vae, x, z).shape == (3, 4, D)
    assert (scores(vae, x, z) != 0).all()


def test_trace_holds_it_like_any_other(vae: VAE) -> None:
    trace = vae(EVERY_IMAGE, points(2, 64))
    assert isinstance(trace.p_x, Causal)
    assert isinstance(trace.p_x, LikelihoodDistribution)
    assert not isinstance(trace.p_x, Independent)
    trace.p_x.log_prob(trace.x).sum().backward()
    assert all(weight.grad is not None for name, weight in vae.named_parameters() if "prior" not in name)


def test_it_runs_in_the_precision_it_was_made_in(vae: VAE) -> None:
    z = points(64)
    exact = vae.decode(z).log_prob(EVERY_IMAGE)
    with torch.autocast("cpu", torch.bfloat16):
        p_x = vae.decode(z)
    rounded = p_x.log_prob(EVERY_IMAGE)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.1)
    assert p_x.greedy().dtype == torch.float32


def test_pixels_with_weights_of_their_own_are_refused() -> None:
    with pytest.raises(InputError, match="draws pixels one at a time, and GaussianLikelihood has weights"):
        CausalLikelihood(6, PixelCNN(SHAPE, PixelCNNSizes(4, 1), 1, rows=True), GaussianLikelihood(6), decode_pixels)
    assert isinstance(BernoulliLikelihood(6)(torch.zeros(2, 6)), Sampleable)
