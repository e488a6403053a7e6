"""The one rule about likelihoods: bound, surrogate, and the excess KL between them."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from lambda_vae.distributions import BernoulliLikelihood
from lambda_vae.equalization import Equalization, theory
from lambda_vae.errors import InputError
from lambda_vae.model import VAE, Trace
from lambda_vae.networks import mlp
from lambda_vae.objectives import ELBO, BetaELBO, excess_kl, nll_bound, surrogate_nll
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import StandardNormalPrior

B, F, D = 6, 9, 4
EXPONENT = (1.0, 1.5, 4.0, 20.0)


def small_vae(dtype: torch.dtype = torch.float64) -> VAE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = VAE(
            mlp(F, (7,)), GaussianPosterior(7, D), StandardNormalPrior(D), mlp(D, (7,), F), BernoulliLikelihood(F)
        )
        for parameter in vae.parameters():
            nn.init.normal_(parameter, std=0.6)
    return vae.to(dtype)


def batch(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.bernoulli(torch.full((B, F), 0.4), generator=torch.Generator().manual_seed(1)).to(dtype)


def noise(samples: int = 3, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(samples, B, D, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(dtype)


def passed(exponent: tuple[float, ...] | None, samples: int = 3, dtype: torch.dtype = torch.float64) -> Trace:
    with torch.no_grad():
        lambdas = None if exponent is None else torch.tensor(exponent, dtype=dtype)
        return small_vae(dtype).with_equalization(Equalization(lambdas))(batch(dtype), noise(samples, dtype))


def by_hand(exponent: tuple[float, ...]) -> dict[str, Tensor]:
    """Everything anew from torch.distributions and the weights."""
    vae, x, eps = small_vae(), batch(), noise()
    with torch.no_grad():
        mu, logvar = vae.posterior.head(vae.encoder(x)).chunk(2, -1)
        std = torch.exp(logvar / 2)
        narrow = torch.where(std < 1, std ** torch.tensor(exponent, dtype=torch.float64), std)
        prior = Normal(torch.zeros(D, dtype=torch.float64), torch.ones(D, dtype=torch.float64))
        z = mu + narrow * eps
        return {
            "std": std,
            "reconstruction": -Bernoulli(logits=vae.decoder(z)).log_prob(x.expand(3, B, F)).sum(-1),
            "rate_q": kl_divergence(Normal(mu, std), prior).sum(-1),
            "rate": kl_divergence(Normal(mu, narrow), prior).sum(-1),
            "monte_carlo": Normal(mu, narrow).log_prob(z).sum(-1) - prior.log_prob(z).sum(-1),
        }


def test_scene_has_stds_on_both_sides_of_one() -> None:
    std = passed(None).q.std
    assert (std < 0.9).any()
    assert (std > 1.1).any()


@pytest.mark.parametrize("exponent", [(1.0,) * D, EXPONENT])
def test_bound_surrogate_and_excess_by_hand(exponent: tuple[float, ...]) -> None:
    trace, hand = passed(exponent), by_hand(exponent)
    close = {"rtol": 1e-11, "atol": 1e-11}
    torch.testing.assert_close(nll_bound(trace), hand["reconstruction"] + hand["rate"], **close)
    torch.testing.assert_close(surrogate_nll(trace), hand["reconstruction"] + hand["rate_q"], **close)
    torch.testing.assert_close(excess_kl(trace), hand["rate"] - hand["rate_q"], **close)
    eq_14 = theory.excess_kl(hand["std"], torch.tensor(exponent, dtype=torch.float64)).sum(-1)
    torch.testing.assert_close(excess_kl(trace), eq_14, **close)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_surrogate_and_excess_add_up_to_the_bound(dtype: torch.dtype, tolerance: float) -> None:
    trace = passed(EXPONENT, dtype=dtype)
    assert nll_bound(trace).shape == (3, B)
    torch.testing.assert_close(
        surrogate_nll(trace) + excess_kl(trace), nll_bound(trace), rtol=tolerance, atol=tolerance
    )
    assert (excess_kl(trace) >= 0).all()
    assert excess_kl(trace).mean() > 1.0


def test_bound_is_the_mean_of_log_density_ratios_within_its_standard_error() -> None:
    trace = passed(EXPONENT, samples=20_000)
    ratio = trace.q_sampled.log_prob(trace.z) - trace.p_z.log_prob(trace.z)
    stderr = ratio.std(0) / math.sqrt(len(ratio))
    rate = nll_bound(trace) + trace.p_x.log_prob(trace.x)
    assert ((ratio.mean(0) - rate[0]).abs() < 4 * stderr).all()
    # and the surrogate is not: the law that z was drawn from is another one
    rate_q = surrogate_nll(trace) + trace.p_x.log_prob(trace.x)
    apart = excess_kl(trace) > 1.0
    assert apart.any()
    assert ((ratio.mean(0) - rate_q[0]).abs() > 10 * stderr)[apart].all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_without_an_exponent_surrogate_is_the_bound_exactly(dtype: torch.dtype) -> None:
    for exponent in (None, (1.0,) * D):
        trace = passed(exponent, dtype=dtype)
        assert torch.equal(surrogate_nll(trace), nll_bound(trace))
        assert torch.equal(excess_kl(trace), torch.zeros(B, dtype=dtype))


def test_exponent_of_ones_is_the_plain_vae_bit_for_bit() -> None:
    plain, ones = passed(None, dtype=torch.float32), passed((1.0,) * D, dtype=torch.float32)
    assert plain.q_sampled is plain.q
    assert torch.equal(plain.z, ones.z)
    assert torch.equal(plain.q_sampled.logvar, ones.q_sampled.logvar)
    assert torch.equal(ELBO()(plain).loss, ELBO()(ones).loss)
    assert not torch.equal(plain.z, passed(EXPONENT, dtype=torch.float32).z)


def test_gradients_at_exponent_one_are_the_plain_vae_s_bit_for_bit() -> None:
    gradients = []
    for exponent in (None, torch.ones(D)):
        vae = small_vae(torch.float32).with_equalization(Equalization(exponent))
        ELBO()(vae(batch(torch.float32), noise(dtype=torch.float32))).loss.mean().backward()
        gradients.append([parameter.grad for parameter in vae.parameters()])
    for plain, ones in zip(*gradients, strict=True):
        assert torch.equal(plain, ones)


def test_elbo_s_loss_is_the_surrogate_under_an_exponent_and_the_bound_without() -> None:
    trace = passed(EXPONENT)
    assert torch.equal(ELBO()(trace).loss, ELBO()(trace).reconstruction + ELBO()(trace).rate_q)
    torch.testing.assert_close(ELBO()(trace).loss, surrogate_nll(trace), rtol=1e-13, atol=1e-13)
    plain = passed(None)
    torch.testing.assert_close(ELBO()(plain).loss, nll_bound(plain), rtol=1e-13, atol=1e-13)


def test_beta_one_is_the_elbo_bit_for_bit() -> None:
    for exponent in (None, EXPONENT):
        trace = passed(exponent, dtype=torch.float32)
        for kl_weight in (1.0, 0.3):
            assert torch.equal(BetaELBO(1.0)(trace, kl_weight).loss, ELBO()(trace, kl_weight).loss)


def test_beta_and_weight_multiply_the_kl_alone() -> None:
    trace = passed(EXPONENT)
    terms = BetaELBO(4.0)(trace, 0.5)
    torch.testing.assert_close(terms.loss - terms.reconstruction, (2.0 * terms.rate_q).expand(3, B), rtol=1e-9, atol=0)
    assert torch.equal(BetaELBO(0.0)(trace).loss, terms.reconstruction)


@pytest.mark.parametrize("beta", [-1e-9, float("nan"), float("inf")])
def test_bad_beta_is_refused(beta: float) -> None:
    with pytest.raises(InputError, match=r"beta is .*; it must be a finite number, 0 or greater"):
        BetaELBO(beta)
