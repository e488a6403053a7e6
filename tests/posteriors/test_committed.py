"""The committed posterior: its rate holds for any weights and any input, and 0 is the plain Gaussian."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from torch.distributions import Normal, kl_divergence

from lambda_vae.distributions import standard_normal
from lambda_vae.errors import InputError
from lambda_vae.posteriors import CommittedPosterior, GaussianPosterior

B, H, D = 50, 6, 3


@given(
    rate=st.sampled_from([1e-3, 0.1, 1.0, 5.0, 20.0]),
    size=st.sampled_from([0.0, 0.1, 1.0, 10.0, 100.0]),
    seed=st.integers(0, 50),
)
def test_kl_never_falls_below_the_rate(rate: float, size: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    posterior = CommittedPosterior(H, D, rate)
    with torch.no_grad():
        for parameter in posterior.parameters():
            parameter.copy_(size * torch.randn(parameter.shape, generator=generator))
        q = posterior(torch.randn(B, H, generator=generator))
        by_torch = kl_divergence(Normal(q.mu.double(), q.std.double()), Normal(0.0, 1.0))
    assert (by_torch >= rate * (1 - 1e-5) - 1e-6).all()  # float32
    assert q.mu.isfinite().all()


@pytest.mark.parametrize("rate", [0.1, 1.0])
def test_the_rate_is_really_reached(rate: float) -> None:
    """A bound that is never touched would hold for a much larger rate too."""
    posterior = CommittedPosterior(1, 1, rate).double()
    with torch.no_grad():
        posterior.head.weight.zero_()
        posterior.head.bias.copy_(torch.tensor([-60.0, 0.3]))  # mu adds nothing
        q = posterior(torch.zeros(1, 1, dtype=torch.float64))
    assert float(q.kl(standard_normal(1))) == pytest.approx(rate, rel=1e-9)


@pytest.mark.parametrize("rate", [0.1, 1.0, 10.0])
def test_sigma_lies_between_the_two_roots(rate: float) -> None:
    import math

    narrow = brentq(lambda logvar: logvar - math.exp(logvar) + 2 * rate + 1, -2 * rate - 2, 0.0)
    wide = brentq(lambda logvar: logvar - math.exp(logvar) + 2 * rate + 1, 0.0, 10.0)
    posterior = CommittedPosterior(H, D, rate)
    assert (posterior.narrowest, posterior.widest) == pytest.approx((narrow, wide), rel=1e-9)
    with torch.no_grad():
        posterior.head.weight.mul_(1000.0)
        logvar = posterior(torch.randn(B, H)).logvar
    assert float(logvar.min()) == pytest.approx(narrow, rel=1e-3)
    assert float(logvar.max()) == pytest.approx(wide, rel=1e-3)


def test_gradients_are_finite_at_the_ends_of_the_range() -> None:
    posterior = CommittedPosterior(H, D, 0.5)
    with torch.no_grad():
        posterior.head.weight.mul_(1000.0)
    h = torch.randn(B, H)
    posterior(h).kl(standard_normal(D)).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in posterior.parameters() if parameter.grad is not None)


def test_a_rate_of_zero_is_the_plain_gaussian() -> None:
    plain, committed = GaussianPosterior(H, D), CommittedPosterior(H, D, 0.0)
    committed.load_state_dict(plain.state_dict())
    h = torch.randn(B, H)
    assert torch.equal(committed(h).mu, plain(h).mu)
    assert torch.equal(committed(h).logvar, plain(h).logvar)


@pytest.mark.parametrize("rate", [-0.1, float("nan"), float("inf"), 1000.0])
def test_rates_out_of_range_are_refused(rate: float) -> None:
    with pytest.raises(InputError, match="committed_rate is"):
        CommittedPosterior(H, D, rate)
