"""The Bernoulli against torch.distributions, scipy, enumeration and Monte Carlo."""

import itertools
import math

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Bernoulli as Outside

from lambda_vae.distributions import Bernoulli, BernoulliLikelihood


def drawn(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def bits(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.bernoulli(torch.full(shape, 0.4, dtype=dtype), generator=torch.Generator().manual_seed(seed))


TOLERANCE = {torch.float64: {"rtol": 1e-12, "atol": 1e-12}, torch.float32: {"rtol": 1e-5, "atol": 1e-5}}


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_log_prob_is_that_of_torch(dtype: torch.dtype) -> None:
    logits, x = 3 * drawn(5, 4, 7, seed=1, dtype=dtype), bits(4, 7, seed=2, dtype=dtype)
    value = Bernoulli(logits).log_prob(x)
    assert value.shape == (5, 4)
    torch.testing.assert_close(value, Outside(logits=logits).log_prob(x.expand(5, 4, 7)).sum(-1), **TOLERANCE[dtype])


def test_log_prob_is_that_of_scipy() -> None:
    logits, x = drawn(4, 7, seed=1), bits(4, 7, seed=2)
    by_scipy = stats.bernoulli(logits.sigmoid().numpy()).logpmf(x.numpy()).sum(-1)
    torch.testing.assert_close(Bernoulli(logits).log_prob(x), torch.from_numpy(by_scipy), rtol=1e-12, atol=1e-12)


def test_probabilities_of_all_images_add_up_to_one() -> None:
    images = torch.tensor(list(itertools.product((0.0, 1.0), repeat=5)), dtype=torch.float64)
    logits = drawn(5, seed=3).expand(32, 5)
    assert Bernoulli(logits).log_prob(images).exp().sum().item() == pytest.approx(1.0, rel=1e-12)


def test_extreme_logits_stay_finite_and_exact() -> None:
    logits = torch.tensor([[200.0, -200.0]])
    assert Bernoulli(logits).log_prob(torch.tensor([[1.0, 0.0]])).item() == 0.0
    assert Bernoulli(logits).log_prob(torch.tensor([[0.0, 1.0]])).item() == -400.0


def test_samples_have_the_mean_within_its_standard_error() -> None:
    law = Bernoulli(drawn(7, seed=4).expand(100_000, 7))
    samples = law.sample(torch.Generator().manual_seed(0))
    assert set(samples.unique().tolist()) == {0.0, 1.0}
    p = law.mean[0]
    assert ((samples.mean(0) - p).abs() < 4 * (p * (1 - p) / len(samples)).sqrt()).all()


def test_samples_depend_on_nothing_but_the_generator() -> None:
    law = Bernoulli(drawn(50, 7, seed=4))
    first, second = (law.sample(torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, law.sample(torch.Generator().manual_seed(2)))


def test_mean_log_prob_is_minus_the_entropy_within_its_standard_error() -> None:
    law = Bernoulli(drawn(7, seed=5).expand(100_000, 7))
    log_prob = law.log_prob(law.sample(torch.Generator().manual_seed(3)))
    entropy = Outside(logits=law.logits[0]).entropy().sum()
    assert (log_prob.mean() + entropy).abs() < 4 * log_prob.std() / math.sqrt(len(log_prob))


def test_half_logits_become_float32() -> None:
    law = BernoulliLikelihood(3)(torch.ones(2, 3, dtype=torch.bfloat16))
    assert {law.logits.dtype, law.mean.dtype, law.log_prob(torch.ones(2, 3)).dtype} == {torch.float32}
