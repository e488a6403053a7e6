"""What every posterior keeps to."""

import inspect

import pytest
import torch
from torch import Tensor, nn

import lambda_vae.posteriors
from lambda_vae.distributions import DiagGaussian, standard_normal

B, H, D = 4, 6, 3

POSTERIORS = [
    member
    for name in lambda_vae.posteriors.__all__
    if inspect.isclass(member := getattr(lambda_vae.posteriors, name)) and issubclass(member, nn.Module)
]


def hidden(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(B, H, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


@pytest.fixture(params=POSTERIORS, ids=lambda member: member.__name__)
def posterior(request: pytest.FixtureRequest) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made: nn.Module = request.param(H, D)
    return made


def test_the_family_is_not_empty() -> None:
    assert POSTERIORS


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_dtypes(posterior: nn.Module, dtype: torch.dtype) -> None:
    q = posterior.to(dtype)(hidden(dtype))
    assert isinstance(q, DiagGaussian)
    assert q.mu.shape == q.logvar.shape == (B, D)
    assert q.mu.dtype == q.logvar.dtype == dtype
    assert posterior.latent_dim == D


def test_mu_and_logvar_are_different_outputs(posterior: nn.Module) -> None:
    q = posterior(hidden())
    assert not torch.allclose(q.mu, q.logvar)


def test_law_is_float32_inside_autocast(posterior: nn.Module) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        q = posterior(hidden())
    assert q.mu.dtype == q.logvar.dtype == q.std.dtype == torch.float32


def test_gradients_are_finite_and_reach_every_parameter(posterior: nn.Module) -> None:
    h = hidden().requires_grad_()
    posterior(h).kl(standard_normal(D)).sum().backward()
    for gradient in (h.grad, *(parameter.grad for parameter in posterior.parameters())):
        assert gradient is not None
        assert gradient.isfinite().all()
        assert (gradient != 0).all()


def test_examples_do_not_meet(posterior: nn.Module) -> None:
    torch.testing.assert_close(posterior(hidden()[1:2]).mu[0], posterior(hidden()).mu[1])


def test_state_comes_back(posterior: nn.Module) -> None:
    other = type(posterior)(H, D)
    other.load_state_dict(posterior.state_dict())
    assert torch.equal(other(hidden()).logvar, posterior(hidden()).logvar)
