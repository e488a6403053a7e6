"""The mixture of Gaussians against torch.distributions, quadrature and Monte Carlo, for one mixture and one a row."""

import math

import pytest
import torch
from scipy import integrate
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

import lambda_vae.distributions.mixture
from lambda_vae.distributions import Density, DiagGaussian, GaussianMixture, PosteriorDistribution
from lambda_vae.errors import InputError

K, B, M, D = 5, 4, 7, 3
SAMPLES = 200_000


def drawn(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def mixture(*batch: int, dtype: torch.dtype = torch.float64) -> GaussianMixture:
    return GaussianMixture(
        2.0 * drawn(*batch, M, D, seed=1, dtype=dtype), drawn(*batch, M, D, seed=2, dtype=dtype) - 1.0
    )


def outside(law: GaussianMixture) -> MixtureSameFamily:
    parts = Independent(Normal(law.means, law.logvars.mul(0.5).exp()), 1)
    return MixtureSameFamily(Categorical(logits=torch.zeros(law.means.shape[:-1], dtype=law.means.dtype)), parts)


BATCHES = pytest.mark.parametrize("batch", [(), (B,)], ids=["one", "one a row"])


@BATCHES
def test_is_a_law_with_one_noise_number_more(batch: tuple[int, ...]) -> None:
    law = mixture(*batch)
    assert isinstance(law, PosteriorDistribution)
    assert isinstance(law, Density)
    assert law.noise_dim == D + 1
    assert law.rsample(drawn(K, B, D + 1, seed=3)).shape == (K, B, D)
    assert law.mu.shape == law.logvar.shape == law.std.shape == (*batch, D)


@BATCHES
def test_log_prob_is_that_of_torch(batch: tuple[int, ...]) -> None:
    law, z = mixture(*batch), drawn(K, B, D, seed=4)
    assert law.log_prob(z).shape == (K, B)
    torch.testing.assert_close(law.log_prob(z), outside(law).log_prob(z), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(law.log_prob(z[0]), outside(law).log_prob(z[0]), rtol=1e-12, atol=1e-12)


@BATCHES
def test_log_prob_of_float32_is_right_to_a_ten_thousandth_of_a_nat(batch: tuple[int, ...]) -> None:
    """Narrow components far from 0, where squares multiplied out in float32 would lose whole nats."""
    means, logvars = 30.0 * drawn(*batch, M, D, seed=1, dtype=torch.float32), torch.full((*batch, M, D), -6.0)
    z = means[..., 0, :] + 0.05 * drawn(K, B, D, seed=4, dtype=torch.float32)
    law = GaussianMixture(means, logvars)
    exact = outside(GaussianMixture(means.double(), logvars.double())).log_prob(z.double())
    assert law.log_prob(z).dtype == torch.float32
    torch.testing.assert_close(law.log_prob(z).double(), exact, rtol=0, atol=1e-4)
    x = z * math.exp(3.0)
    naive = x.square().sum(-1) - 2 * (x * means[..., 0, :] * math.exp(3.0)).sum(-1)
    naive = naive + (means[..., 0, :] * math.exp(3.0)).square().sum(-1)
    square = (x.double() - means[..., 0, :].double() * math.exp(3.0)).square().sum(-1)
    assert (naive.double() - square).abs().max() > 1e-2  # the control


@BATCHES
def test_chunks_make_no_difference(batch: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    law, z = mixture(*batch), drawn(K, B, D, seed=4)
    whole = law.log_prob(z)
    monkeypatch.setattr(lambda_vae.distributions.mixture, "_PAIRS_PER_PASS", 2 * M * B)
    torch.testing.assert_close(law.log_prob(z), whole, rtol=1e-14, atol=1e-14)


def test_density_integrates_to_one() -> None:
    law = GaussianMixture(drawn(M, 1, seed=1), drawn(M, 1, seed=2))
    total, _ = integrate.quad(lambda z: law.log_prob(torch.tensor([z], dtype=torch.float64)).exp().item(), -15, 15)
    assert total == pytest.approx(1.0, abs=1e-8)


@BATCHES
def test_marginals_are_those_of_torch(batch: tuple[int, ...]) -> None:
    law = mixture(*batch)
    torch.testing.assert_close(law.marginals().mu, outside(law).mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(law.marginals().var, outside(law).variance, rtol=1e-12, atol=1e-12)
    assert law.logvar is law.logvar  # `VAE.sampled` asks whether it is the same tensor


@BATCHES
def test_draws_have_the_moments_within_their_standard_error(batch: tuple[int, ...]) -> None:
    law = mixture(*batch)
    z = law.rsample(drawn(SAMPLES, *(batch or (1,)), D + 1, seed=5))
    stderr = law.std / math.sqrt(SAMPLES)
    assert ((z.mean(0) - law.mu).abs() < 4.5 * stderr).all()
    var_stderr = (z - law.mu).square().std(0) / math.sqrt(SAMPLES)
    assert (((z - law.mu).square().mean(0) - law.std.square()).abs() < 4.5 * var_stderr).all()


@BATCHES
def test_every_component_is_drawn_equally_often(batch: tuple[int, ...]) -> None:
    narrow = GaussianMixture(torch.arange(M).double()[:, None].expand(*batch, M, D), torch.full((*batch, M, D), -20.0))
    z = narrow.rsample(drawn(SAMPLES, *(batch or (1,)), D + 1, seed=6)).round()
    share = torch.stack([(z == m).all(-1).double().mean(0) for m in range(M)])
    assert ((share - 1 / M).abs() < 4.5 * math.sqrt((1 / M) * (1 - 1 / M) / SAMPLES)).all()


def test_noise_at_the_ends_picks_the_first_and_the_last() -> None:
    law = mixture(dtype=torch.float32)
    eps = torch.zeros(2, D + 1)
    eps[:, -1] = torch.tensor([-40.0, 40.0])
    torch.testing.assert_close(law.rsample(eps), law.means[[0, -1]])


@BATCHES
def test_draw_knows_its_density(batch: tuple[int, ...]) -> None:
    law, eps = mixture(*batch), drawn(K, B, D + 1, seed=3)
    draw = law.rsample_and_log_prob(eps)
    assert torch.equal(draw.z, law.rsample(eps))
    assert torch.equal(draw.log_prob(), law.log_prob(draw.z))


@BATCHES
def test_equal_components_are_one_gaussian(batch: tuple[int, ...]) -> None:
    one = DiagGaussian(drawn(*batch, D, seed=1), drawn(*batch, D, seed=2))
    law = GaussianMixture(one.mu.unsqueeze(-2).expand(*batch, M, D), one.logvar.unsqueeze(-2).expand(*batch, M, D))
    z = drawn(K, B, D, seed=3)
    torch.testing.assert_close(law.log_prob(z), one.log_prob(z), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(law.logvar, one.logvar, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        law.rsample(drawn(K, B, D + 1, seed=4)), one.rsample(drawn(K, B, D + 1, seed=4)[..., :-1])
    )


@BATCHES
def test_gradients_of_the_density_are_right(batch: tuple[int, ...]) -> None:
    means, logvars = drawn(*batch, M, D, seed=1).requires_grad_(), drawn(*batch, M, D, seed=2).requires_grad_()
    z = drawn(2, B, D, seed=3).requires_grad_()
    assert torch.autograd.gradcheck(lambda m, v, z: GaussianMixture(m, v).log_prob(z), (means, logvars, z))
    eps = drawn(2, B, D + 1, seed=4)
    assert torch.autograd.gradcheck(lambda m, v: GaussianMixture(m, v).rsample(eps), (means, logvars))


def test_half_parameters_become_float32() -> None:
    law = GaussianMixture(torch.ones(M, D, dtype=torch.bfloat16), torch.zeros(M, D, dtype=torch.bfloat16))
    values = (law.means, law.logvars, law.mu, law.rsample(torch.zeros(2, D + 1)), law.log_prob(torch.zeros(2, D)))
    assert {value.dtype for value in values} == {torch.float32}


def test_lambda_is_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match="lambda needs one Gaussian"):
        mixture().with_logvar(torch.zeros(D))


def test_no_components_are_refused() -> None:
    with pytest.raises(InputError, match="0 components"):
        GaussianMixture(torch.zeros(0, D), torch.zeros(0, D))
