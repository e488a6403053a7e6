"""Our distributions as torch.distributions has them: what takes those takes ours."""

import pytest
import torch
from torch.distributions import AffineTransform, TransformedDistribution, kl_divergence

from lambda_vae.distributions import (
    Bernoulli,
    DiagGaussian,
    FullGaussian,
    FullGaussianMixture,
    GaussianMixture,
    standard_normal,
)

MU, LOGVAR = torch.tensor([[0.5, -1.0], [2.0, 0.0]]), torch.tensor([[0.3, -2.0], [0.0, 1.0]])
FACTOR = torch.tensor([[1.0, 0.0], [0.6, 0.8]])

DISTRIBUTIONS = {
    "diagonal": DiagGaussian(MU, LOGVAR),
    "one logvar for all": DiagGaussian(MU, LOGVAR[0]),
    "full": FullGaussian(MU, FACTOR.expand(2, 2, 2)),
    "mixture": GaussianMixture(MU, LOGVAR),
    "mixture an example": GaussianMixture(torch.stack((MU, MU + 1.0)), torch.stack((LOGVAR, LOGVAR))),
    "full mixture": FullGaussianMixture(torch.tensor([0.3, 0.7]), MU, FACTOR.expand(2, 2, 2)),
    "bernoulli": Bernoulli(MU),
}


@pytest.mark.parametrize("ours", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
def test_the_density_is_ours(ours):
    x = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    theirs = ours.to_torch()
    assert theirs.event_shape == (2,)
    torch.testing.assert_close(theirs.log_prob(x).to(x), ours.log_prob(x))


@pytest.mark.parametrize("name", ["diagonal", "full"])
def test_torch_finds_the_same_kl(name):
    q, p = DISTRIBUTIONS[name], standard_normal(2)
    prior = FullGaussian(torch.zeros(2), torch.eye(2)) if name == "full" else p
    torch.testing.assert_close(kl_divergence(q.to_torch(), prior.to_torch()), q.kl(p).float())


def test_a_transformed_distribution_takes_it_and_gradients_pass():
    mu = MU.clone().requires_grad_()
    moved = TransformedDistribution(DiagGaussian(mu, LOGVAR).to_torch(), [AffineTransform(1.0, 2.0, event_dim=1)])
    moved.rsample().sum().backward()
    assert torch.equal(mu.grad, torch.full((2, 2), 2.0))
