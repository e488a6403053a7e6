"""What every posterior keeps to."""

import inspect
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import lambda_vae.posteriors
from lambda_vae.distributions import PosteriorDistribution, standard_normal
from lambda_vae.errors import InputError
from lambda_vae.posteriors import (
    CommittedPosterior,
    FlowPosterior,
    GaussianPosterior,
    ImplicitPosterior,
    Posterior,
    PriorPosterior,
)

B, H, D = 4, 6, 3

#: One or more of every class; a test sees to it that none is missing.
POSTERIORS: dict[str, Callable[[], Posterior]] = {
    "gaussian": lambda: GaussianPosterior(H, D),
    "committed": lambda: CommittedPosterior(H, D, rate=0.3),
    "committed to nothing": lambda: CommittedPosterior(H, D, rate=0.0),
    "autoregressive flow": lambda: FlowPosterior(H, D, "autoregressive", 2, (8,)),
    "coupling flow": lambda: FlowPosterior(H, D, "coupling", 2, (8,)),
    "planar flow": lambda: FlowPosterior(H, D, "planar", 2),
    "no flow": lambda: FlowPosterior(H, D, layers=0),
    "implicit": lambda: ImplicitPosterior(H, D),
}


#: Those that read nothing, so that nothing of what follows can be asked of them.
REST = {PriorPosterior}


def hidden(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(B, H, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def made(name: str, seed: int = 0) -> Posterior:
    """A posterior, a step away from where it begins: some begin where part of their weights has no effect."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        posterior = POSTERIORS[name]()
        with torch.no_grad():
            for parameter in posterior.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return posterior


@pytest.fixture(params=POSTERIORS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def posterior(name: str) -> Posterior:
    return made(name)


def noise(q: PosteriorDistribution, samples: int = 2) -> Tensor:
    return torch.randn(samples, B, q.noise_dim, generator=torch.Generator().manual_seed(1))


def test_no_posterior_is_missing() -> None:
    members = {getattr(lambda_vae.posteriors, name) for name in lambda_vae.posteriors.__all__} - {Posterior}
    assert {member for member in members if inspect.isclass(member)} == {
        type(make()) for make in POSTERIORS.values()
    } | REST


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_dtypes(posterior: nn.Module, dtype: torch.dtype) -> None:
    q = posterior.to(dtype)(hidden(dtype))
    assert isinstance(q, PosteriorDistribution)
    assert q.mu.shape == q.logvar.shape == q.std.shape == q.marginals().mu.shape == (B, D)
    assert q.mu.dtype == q.logvar.dtype == q.marginals().logvar.dtype == dtype
    draw = q.rsample_and_log_prob(noise(q).to(dtype))
    assert draw.z.shape == (2, B, D)
    assert draw.log_prob().shape == q.log_prob(draw.z).shape == (2, B)
    assert draw.z.dtype == draw.log_prob().dtype == dtype
    assert posterior.latent_dim == D


def test_mu_and_logvar_are_different_outputs(posterior: nn.Module) -> None:
    q = posterior(hidden())
    assert not torch.allclose(q.mu, q.logvar)


def test_law_is_float32_inside_autocast(posterior: nn.Module) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        q = posterior(hidden())
        draw = q.rsample_and_log_prob(noise(q))
        density = draw.log_prob()
    assert {q.mu.dtype, q.logvar.dtype, q.std.dtype, draw.z.dtype, density.dtype} == {torch.float32}


def test_draws_know_their_density_and_the_density_knows_them(posterior: nn.Module) -> None:
    q = posterior.double()(hidden(torch.float64))
    draw = q.rsample_and_log_prob(noise(q).double())
    assert torch.equal(draw.z, q.rsample(noise(q).double()))
    torch.testing.assert_close(draw.log_prob(), q.log_prob(draw.z), rtol=1e-7, atol=1e-7)


def test_draws_make_the_density_integrate_to_one(posterior: nn.Module) -> None:
    """E_q[r(z)/q(z)] = 1 for any law r inside q: a wrong factor in either direction shows."""
    with torch.no_grad():
        q = posterior.double()(hidden(torch.float64))
        eps = torch.randn(20_000, B, q.noise_dim, generator=torch.Generator().manual_seed(1)).double()
        marginals, draw = q.marginals(), q.rsample_and_log_prob(eps)
        inside = marginals.with_logvar(marginals.logvar - 1.0)
        weight = (inside.log_prob(draw.z) - draw.log_prob()).exp()
    assert ((weight.mean(0) - 1.0).abs() < 5 * weight.std(0) / 20_000**0.5).all()
    assert (weight.std(0) / 20_000**0.5 < 0.05).all()


def test_lambda_reaches_the_gaussian_part_or_is_refused(posterior: nn.Module) -> None:
    q = posterior(hidden())
    assert q.logvar is q.logvar  # `VAE.sampled` asks whether it changed
    if posterior.mixing_dim:
        with pytest.raises(InputError, match="lambda needs one Gaussian"):
            q.with_logvar(q.logvar - 1.0)
        return
    assert q.with_logvar(q.logvar) is q
    narrow = q.with_logvar(q.logvar - 2.0)
    assert torch.equal(narrow.mu, q.mu)
    torch.testing.assert_close(narrow.std, q.std / torch.e)
    assert (narrow.marginals().std < q.marginals().std).all()


def test_gradients_are_finite_and_reach_every_parameter(posterior: nn.Module) -> None:
    h = hidden().requires_grad_()
    q = posterior(h)
    draw = q.rsample_and_log_prob(noise(q))
    loss = draw.log_prob() - standard_normal(D).log_prob(draw.z)
    (loss.sum() + q.marginals().kl(standard_normal(D)).sum()).backward()
    for gradient in (h.grad, *(parameter.grad for parameter in posterior.parameters())):
        assert gradient is not None
        assert gradient.isfinite().all()
        assert (gradient != 0).any()


def test_examples_do_not_meet(posterior: nn.Module) -> None:
    all_, one = posterior(hidden()), posterior(hidden()[1:2])
    torch.testing.assert_close(one.mu[0], all_.mu[1])
    torch.testing.assert_close(one.rsample(noise(all_)[:, 1:2])[:, 0], all_.rsample(noise(all_))[:, 1])


def test_state_comes_back(name: str, posterior: nn.Module) -> None:
    other = made(name, seed=1)
    assert not torch.equal(other(hidden()).mu, posterior(hidden()).mu)
    other.load_state_dict(posterior.state_dict())
    first, second = other(hidden()), posterior(hidden())
    assert torch.equal(first.logvar, second.logvar)
    assert torch.equal(first.rsample(noise(first)), second.rsample(noise(second)))
