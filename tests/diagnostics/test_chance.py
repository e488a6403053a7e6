"""Draws of examples: each law's own, with the numbers they always had, and none from a slow decoder."""

import pytest
import torch

from lambda_vae.distributions import Bernoulli, Causal, DiagGaussian, LogisticMixture, sample_x
from lambda_vae.rng import normal


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bernoulli_and_gaussian_are_made_of_one_number_a_feature(dtype):
    """Bit for bit: a recorded measure comes out again."""
    theta = torch.randn(4, 6, generator=seeded(1), dtype=dtype)
    bits = sample_x(Bernoulli(theta), seeded())
    assert torch.equal(bits, (torch.rand(4, 6, generator=seeded()) < theta.sigmoid()).to(dtype))
    law = DiagGaussian(theta, torch.full((6,), -1.0, dtype=dtype))
    assert torch.equal(sample_x(law, seeded()), law.rsample(normal((4, 6), seeded(), theta.device)))


def test_a_logistic_mixture_is_asked_itself():
    law = LogisticMixture(torch.randn(5, 30, 2, 2, generator=seeded(1)))
    assert torch.equal(sample_x(law, seeded()), law.sample(seeded()))


def test_no_draw_is_asked_of_an_autoregressive_decoder():
    """It could give one; decoding it would take as long as all other measures together."""
    assert sample_x(Causal(torch.zeros(1, 2, 1, 1), None), seeded()) is None


def test_nan_is_drawn_as_nan():
    logits = torch.tensor([[0.0, torch.nan]])
    assert sample_x(Bernoulli(logits), seeded()).isnan().tolist() == [[False, True]]
