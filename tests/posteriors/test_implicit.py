"""The semi-implicit posterior: one Gaussian for each xi, and the mixture that stands for all of them."""

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch import Tensor

from lambda_vae.distributions import DiagGaussian, GaussianMixture, standard_normal
from lambda_vae.errors import InputError
from lambda_vae.posteriors import ImplicitPosterior

B, H, D, X, J = 3, 5, 2, 2, 64


@pytest.fixture
def posterior() -> ImplicitPosterior:
    return ImplicitPosterior(H, D, X).double()


def test_given_xi_it_is_the_gaussian_of_the_two_heads(posterior, normal64):
    h, xi = normal64(B, H), normal64(B, X)
    q = posterior(h, xi)
    assert isinstance(q, DiagGaussian)
    mixed = torch.relu(posterior.from_h(h) + posterior.from_xi(xi))
    mu, raw = posterior.head(mixed).chunk(2, -1)
    torch.testing.assert_close(q.mu, mu)
    torch.testing.assert_close(q.logvar, torch.log(1e-4 * (1.0 + raw.exp() / 1e-4)))
    assert not torch.allclose(q.mu, posterior(h, normal64(B, X)).mu)


def test_density_without_xi_is_the_mean_of_the_gaussians_that_its_points_pick(posterior, normal64):
    h, z = normal64(B, H), normal64(7, B, D)
    q = posterior(h)
    assert isinstance(q, GaussianMixture)
    assert q.means.shape == (B, J, D)
    each = [posterior(h, xi.expand(B, -1)) for xi in posterior.xi]
    logs = [stats.norm.logpdf(z, p.mu.detach(), p.std.detach()).sum(-1) for p in each]
    expected = special.logsumexp(np.stack(logs), axis=0) - np.log(J)
    np.testing.assert_allclose(q.log_prob(z).detach(), expected, rtol=1e-9)


def test_density_without_xi_integrates_to_one(posterior, normal64):
    line = torch.linspace(-12, 12, 601, dtype=torch.float64)
    z = torch.cartesian_prod(line, line)[:, None].expand(-1, B, -1)
    total = posterior(normal64(B, H)).log_prob(z).exp().sum(0) * (line[1] - line[0]) ** 2
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-6)


def test_its_points_stand_for_all_xi(posterior, normal64):
    """Mean and variance over 64 fixed points come near those over many random ones (of which 64 would miss by 1/8)."""
    h = normal64(1, H)
    many = posterior(h.expand(20_000, -1), normal64(20_000, X))
    z = many.rsample(normal64(20_000, D)).detach()
    marginals = posterior(h).marginals()
    torch.testing.assert_close(marginals.mu[0], z.mean(0), rtol=0, atol=0.05 * float(z.std(0).max()))
    torch.testing.assert_close(marginals.std[0], z.std(0), rtol=0.05, atol=0)


def test_ignoring_xi_it_is_a_diagonal_gaussian(posterior, normal64):
    with torch.no_grad():
        posterior.from_xi.weight.zero_()
    h, z = normal64(B, H), normal64(9, B, D)
    torch.testing.assert_close(posterior(h).log_prob(z), posterior(h, normal64(B, X)).log_prob(z))


def test_mean_rate_of_the_gaussians_is_at_least_that_of_the_mixture(posterior, normal64):
    """What `rate_q` means for a method with this posterior: the KL is convex in q."""
    with torch.no_grad():
        posterior.from_xi.weight.mul_(5.0)
    h, p = normal64(B, H), standard_normal(D)
    each = torch.stack([posterior(h, xi.expand(B, -1)).kl(p) for xi in posterior.xi]).mean(0)
    q = posterior(h)
    z = q.rsample(normal64(20_000, B, D + 1))
    ratio = q.log_prob(z) - p.log_prob(z)
    assert (each > ratio.mean(0) + 5 * ratio.std(0) / 20_000**0.5).all()


def test_std_never_vanishes(posterior, normal64):
    with torch.no_grad():
        posterior.head.bias[D:] = -1e6
    for q in (posterior(normal64(B, H), normal64(B, X)), posterior(normal64(B, H)).marginals()):
        assert (q.std >= 0.01 - 1e-12).all()
    assert posterior(normal64(B, H)).log_prob(normal64(B, D)).isfinite().all()


def test_bound_from_the_mixture_is_one_whatever_its_points(posterior, normal64):
    """x ~ N(sum z, 1), z ~ N(0, I), so that -log p(x) is exact; three sets of points, two of them nonsense."""
    x = normal64(B)
    exact = -torch.distributions.Normal(0.0, (D + 1.0) ** 0.5).log_prob(x)
    for points in (posterior.xi, torch.zeros(J, X), 50.0 * normal64(J, X)):
        posterior.xi.copy_(points)
        q = posterior(normal64(B, H))
        z = q.rsample(normal64(4_000, B, D + 1))
        log_px_z = torch.distributions.Normal(z.sum(-1), 1.0).log_prob(x)
        log_w = (log_px_z + standard_normal(D).log_prob(z) - q.log_prob(z)).detach()
        stderr = log_w.std(0) / len(log_w) ** 0.5
        assert (-log_w.mean(0) > exact - 5 * stderr).all()
        iw = -(log_w.logsumexp(0) - np.log(len(log_w)))
        assert (iw < -log_w.mean(0)).all()
    posterior.xi.zero_()


def test_points_are_the_same_every_time_and_saved_with_the_weights(posterior):
    state = torch.get_rng_state()
    assert torch.equal(ImplicitPosterior(H, D, X).xi.double(), posterior.xi)
    assert "xi" in posterior.state_dict()
    torch.set_rng_state(state)
    before = torch.rand(2)
    torch.set_rng_state(state)
    from lambda_vae.posteriors.implicit import _even_normal

    _even_normal(4, 2)
    assert torch.equal(torch.rand(2), before)


@pytest.mark.parametrize("size", ["mixing_dim", "width", "components"])
def test_sizes_below_one_are_refused(size: str) -> None:
    with pytest.raises(InputError, match=f"{size} is 0; it must be at least 1"):
        ImplicitPosterior(H, D, **{size: 0})


def test_networks_in_bfloat16_leave_laws_in_float32(normal64) -> None:
    single = ImplicitPosterior(H, D, X)
    h: Tensor = normal64(B, H).float()
    with torch.autocast("cpu", torch.bfloat16):
        laws = single(h, h[:, :X]), single(h)
    assert laws[0].mu.dtype == laws[0].logvar.dtype == laws[1].means.dtype == laws[1].logvars.dtype == torch.float32
