"""What every prior keeps to."""

import inspect
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import lambda_vae.priors
from lambda_vae.distributions import Density, DiagGaussian, PosteriorDistribution
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import AutoregressivePrior, FlowPrior, Prior, StandardNormalPrior, VampPrior

K, B, F, D = 2, 4, 6, 3

#: One or more of every class; a test sees to it that none is missing.
PRIORS: dict[str, Callable[[], Prior]] = {
    "standard": lambda: StandardNormalPrior(D),
    "autoregressive": lambda: AutoregressivePrior(D, rate=0.2),
    "vamp": lambda: VampPrior(F, pseudo_inputs=7),
    "flow": lambda: FlowPrior(D, layers=2, hidden=(8,)),
}


def made(name: str, seed: int = 0) -> Prior:
    """A prior, a step away from where it begins."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        prior = PRIORS[name]()
        with torch.no_grad():
            for parameter in prior.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return prior


def encoder(dtype: torch.dtype = torch.float32) -> Callable[[Tensor], PosteriorDistribution]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return GaussianPosterior(F, D).to(dtype)


def drawn(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


@pytest.fixture(params=PRIORS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def prior(name: str) -> Prior:
    return made(name)


def test_no_prior_is_missing() -> None:
    members = {getattr(lambda_vae.priors, name) for name in lambda_vae.priors.__all__} - {Prior}
    assert {member for member in members if inspect.isclass(member)} == {type(make()) for make in PRIORS.values()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_dtypes(prior: nn.Module, dtype: torch.dtype) -> None:
    p = prior.to(dtype)(encoder(dtype))
    assert isinstance(p, Density)
    z = p.rsample(drawn(K, B, p.noise_dim, dtype=dtype))
    assert z.shape == (K, B, D)
    assert p.log_prob(z).shape == (K, B)
    assert p.marginals().mu.shape == p.marginals().logvar.shape == (D,)
    assert z.dtype == p.log_prob(z).dtype == p.marginals().logvar.dtype == dtype


def test_density_is_float32_inside_autocast(prior: nn.Module) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        p = prior(encoder())
        assert p.log_prob(drawn(K, B, D)).dtype == p.rsample(drawn(B, p.noise_dim)).dtype == torch.float32


def test_draws_follow_the_density(prior: nn.Module) -> None:
    """E_p[r(z)/p(z)] = 1 for any law r inside p: draws and density must be of one law."""
    with torch.no_grad():
        p = prior.double()(encoder(torch.float64))
        z = p.rsample(drawn(50_000, p.noise_dim, dtype=torch.float64))
        marginals = p.marginals()
        inside = DiagGaussian(marginals.mu + 0.3 * marginals.std, marginals.logvar - 1.0)
        weight = (inside.log_prob(z) - p.log_prob(z)).exp()
    stderr = weight.std(0) / 50_000**0.5
    assert (weight.mean() - 1.0).abs() < 5 * stderr
    assert stderr < 0.05


def test_marginals_are_the_moments_of_draws(prior: nn.Module) -> None:
    with torch.no_grad():
        p = prior.double()(encoder(torch.float64))
        z = p.rsample(drawn(50_000, p.noise_dim, dtype=torch.float64))
    # 64 fixed points stand behind the marginals of a flow; all others are exact.
    assert ((p.marginals().mu - z.mean(0)).abs() < 0.05 * z.std(0)).all()
    assert ((p.marginals().std / z.std(0) - 1.0).abs() < 0.05).all()


def test_gradients_are_finite_and_reach_every_parameter(prior: nn.Module) -> None:
    z = drawn(K, B, D).requires_grad_()
    prior(encoder()).log_prob(z).sum().backward()
    for gradient in (z.grad, *(parameter.grad for parameter in prior.parameters())):
        assert gradient is not None
        assert gradient.isfinite().all()
        assert (gradient != 0).any()


def test_draws_can_be_trained_through(prior: nn.Module) -> None:
    p = prior(encoder())
    z = p.rsample(drawn(B, p.noise_dim))
    parameters = list(prior.parameters())
    if parameters:
        gradients = torch.autograd.grad(z.square().sum(), parameters)
        assert all(gradient.isfinite().all() and (gradient != 0).any() for gradient in gradients)


def test_state_comes_back(name: str, prior: nn.Module) -> None:
    other = made(name, seed=1)
    other.load_state_dict(prior.state_dict())
    z = drawn(K, B, D)
    assert torch.equal(other(encoder()).log_prob(z), prior(encoder()).log_prob(z))


def test_prior_may_look_at_the_data(prior: nn.Module) -> None:
    prior.init_from_data(drawn(20, F))
    assert prior(encoder()).log_prob(drawn(K, B, D)).isfinite().all()
