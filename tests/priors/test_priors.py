"""The learned priors at their neutral settings, and what each adds."""

import math

import pytest
import torch
from torch import Tensor

from lambda_vae.distributions import (
    AffineFlow,
    DiagGaussian,
    GaussianMixture,
    TransformedDistribution,
    closed_form_kl,
    standard_normal,
)
from lambda_vae.errors import InputError
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import AutoregressivePrior, FlowPrior, VampPrior

K, B, F, D = 2, 4, 6, 3


def nobody(x: Tensor) -> DiagGaussian:
    """An encoder that has collapsed: N(0, I) for every x."""
    return DiagGaussian(torch.zeros(len(x), D), torch.zeros(len(x), D))


def test_vamp_prior_of_a_collapsed_encoder_is_the_standard_normal() -> None:
    p, z = VampPrior(F, 7)(nobody), torch.randn(K, B, D)
    torch.testing.assert_close(p.log_prob(z), standard_normal(D).log_prob(z), rtol=1e-6, atol=1e-6)
    assert torch.equal(p.marginals().logvar, torch.zeros(D))


def test_vamp_prior_is_the_mixture_of_the_pseudo_inputs_posteriors() -> None:
    prior, encode, z = VampPrior(F, 7), GaussianPosterior(F, D), torch.randn(K, B, D)
    p = prior(encode)
    assert isinstance(p, GaussianMixture)
    assert p.components == 7
    each = torch.stack([encode(u[None]).log_prob(z) for u in prior.pseudo])
    torch.testing.assert_close(p.log_prob(z), each.logsumexp(0) - math.log(7), rtol=1e-5, atol=1e-5)


def test_pseudo_inputs_begin_near_the_mean_of_the_data_and_stay_in_its_range() -> None:
    prior, x = VampPrior(F, 200), torch.rand(500, F) * torch.linspace(0.2, 3.0, F) - 1.0
    prior.init_from_data(x)
    assert ((prior.pseudo.mean(0) - x.mean(0)).abs() < 0.05).all()
    seen: list[Tensor] = []
    with torch.no_grad():
        prior.pseudo.mul_(100.0)
        prior(lambda u: (seen.append(u), nobody(u))[1])
    assert float(seen[0].min()) == float(x.min())
    assert float(seen[0].max()) == float(x.max())


def test_every_pseudo_input_begins_where_it_has_a_gradient() -> None:
    """Pixels that are always off: their mean lies on the edge of the range."""
    prior, x = VampPrior(F, 20), torch.zeros(50, F)
    x[:, 0] = 1.0
    prior.init_from_data(x)
    prior(GaussianPosterior(F, D)).log_prob(torch.randn(K, B, D)).sum().backward()
    assert prior.pseudo.grad is not None
    assert (prior.pseudo.grad != 0).all()


def test_vamp_prior_of_flows_is_refused_with_the_remedy() -> None:
    flow = AffineFlow(D, 0, 1, (4,), D)
    with pytest.raises(
        InputError, match="mixes Gaussian posteriors, and these are TransformedDistribution; use flow-prior"
    ):
        VampPrior(F, 7)(lambda u: TransformedDistribution(nobody(u), flow()))


def test_no_pseudo_inputs_are_refused() -> None:
    with pytest.raises(InputError, match="pseudo_inputs is 0"):
        VampPrior(F, 0)


@pytest.mark.parametrize("layers", [0, 1, 4])
def test_flow_prior_before_training_is_the_standard_normal_bit_for_bit(layers: int) -> None:
    p, z = FlowPrior(D, layers)(nobody), torch.randn(K, B, D)
    assert torch.equal(p.log_prob(z), standard_normal(D).log_prob(z))
    assert torch.equal(p.rsample(z), z)


def test_flow_priors_density_takes_one_pass() -> None:
    prior, calls = FlowPrior(D, 2, (8,)), []
    assert prior.flow is not None
    for layer in prior.flow.layers:
        layer.hyper.register_forward_hook(lambda *_: calls.append(1))
    prior(nobody).log_prob(torch.randn(K, B, D))
    assert len(calls) == 2


def test_flow_prior_learns_a_law_that_is_not_normal() -> None:
    prior, generator = FlowPrior(2, 2, (16,)), torch.Generator().manual_seed(0)
    first = torch.randn(500, 1, generator=generator)
    z = torch.cat((first, first.square() - 1 + 0.2 * torch.randn(500, 1, generator=generator)), 1)
    optimizer = torch.optim.Adam(prior.parameters(), lr=1e-2)
    before = -float(standard_normal(2).log_prob(z).mean())
    for _ in range(150):
        loss = -prior(nobody).log_prob(z).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # The best is ln(2 pi e)/2 for each coordinate and ln 0.2 for the second.
    assert float(loss.detach()) < before - 1.0
    assert float(loss.detach()) > math.log(2 * math.pi * math.e) + math.log(0.2) - 0.3


@pytest.mark.parametrize(("dim", "rate"), [(2, 0.1), (5, 0.3), (30, 0.02), (30, 0.3)])
def test_no_gaussian_is_nearer_to_the_autoregressive_prior_than_the_rate(dim: int, rate: float) -> None:
    prior = AutoregressivePrior(dim, rate)
    p, alpha = prior(nobody), float(prior.alpha[1])
    ends = torch.tensor([1.0, *[1.0 + alpha**2] * (dim - 2), 1.0])
    nearest = DiagGaussian(torch.zeros(dim), torch.log((1 - alpha**2) / ends))
    assert float(closed_form_kl(nearest, p)) == pytest.approx(rate * dim, rel=1e-4)  # type: ignore[arg-type]
    some = DiagGaussian(0.3 * torch.randn(1000, dim), nearest.logvar + 0.3 * torch.randn(1000, dim))
    kl = closed_form_kl(some, p)
    assert kl is not None
    assert (kl > rate * dim).all()


def test_autoregressive_prior_without_a_rate_is_the_standard_normal_bit_for_bit() -> None:
    p, q = AutoregressivePrior(D, 0.0)(nobody), DiagGaussian(torch.randn(B, D), torch.randn(B, D))
    z = torch.randn(K, B, D)
    assert torch.equal(p.log_prob(z), standard_normal(D).log_prob(z))
    assert torch.equal(p.kl_from(q), q.kl(standard_normal(D)))
    assert AutoregressivePrior(1, 0.0).alpha.tolist() == [0.0]


@pytest.mark.parametrize(("dim", "rate"), [(1, 0.1), (30, 1.0), (30, -0.1), (30, float("nan"))])
def test_rates_out_of_reach_are_refused_with_the_remedy(dim: int, rate: float) -> None:
    with pytest.raises(InputError, match=r"committed_rate is .* use committed_form independent"):
        AutoregressivePrior(dim, rate)
