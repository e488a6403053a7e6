"""A linear Gaussian VAE, whose log p(x) is exact: bounds hold, the surrogate is none, importance weights tighten."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from lambda_vae.distributions import DiagGaussian, GaussianLikelihood
from lambda_vae.equalization import Equalization
from lambda_vae.model import VAE
from lambda_vae.objectives import excess_kl, nll_bound, surrogate_nll
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import StandardNormalPrior

B, F, D = 6, 5, 3
NOISE_LOGVAR = -0.7


class Scene:
    """x = W z + b + noise with orthogonal columns in W: the true posterior is diagonal, and the encoder can match it.

    Args:
        shift: Added to the encoder's ln sigma^2: 0 makes q_1 the true posterior.
    """

    def __init__(self, shift: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(3)
        columns = torch.linalg.qr(torch.randn(F, D, generator=generator, dtype=torch.float64)).Q
        self.weight = columns * torch.tensor([1.5, 0.8, 0.1], dtype=torch.float64)
        self.bias = torch.randn(F, generator=generator, dtype=torch.float64)
        variance = math.exp(NOISE_LOGVAR)
        precision = 1 + self.weight.square().sum(0) / variance
        self.vae = VAE(
            nn.Identity(), GaussianPosterior(F, D), StandardNormalPrior(D), nn.Linear(D, F), GaussianLikelihood(F)
        ).double()
        with torch.no_grad():
            gain = self.weight.T / variance / precision[:, None]
            self.vae.posterior.head.weight.copy_(torch.cat((gain, torch.zeros(D, F, dtype=torch.float64))))
            self.vae.posterior.head.bias.copy_(torch.cat((-gain @ self.bias, shift - precision.log())))
            self.vae.decoder.weight.copy_(self.weight)  # type: ignore[union-attr, operator]
            self.vae.decoder.bias.copy_(self.bias)  # type: ignore[union-attr, operator]
            self.vae.likelihood.logvar.fill_(NOISE_LOGVAR)  # type: ignore[union-attr, operator]
        z = torch.randn(B, D, generator=generator, dtype=torch.float64)
        noise = torch.randn(B, F, generator=generator, dtype=torch.float64)
        self.x = z @ self.weight.T + self.bias + math.sqrt(variance) * noise

    @property
    def nll(self) -> Tensor:
        """-log p(x), exact."""
        covariance = self.weight @ self.weight.T + math.exp(NOISE_LOGVAR) * torch.eye(F, dtype=torch.float64)
        return -torch.distributions.MultivariateNormal(self.bias, covariance).log_prob(self.x)

    def passed(self, samples: int, exponent: float | None):
        lambdas = None if exponent is None else torch.full((D,), exponent, dtype=torch.float64)
        eps = torch.randn(samples, B, D, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
        with torch.no_grad():
            return self.vae.with_equalization(Equalization(lambdas))(self.x, eps)

    def expected_bound(self, q: DiagGaussian) -> Tensor:
        """E_q[-log p(x|z)] + KL(q || p), in closed form: a quadratic under a Gaussian."""
        residual = (self.x - self.bias - q.mu @ self.weight.T).square().sum(-1)
        spread = (q.var * self.weight.square().sum(0)).sum(-1)
        reconstruction = 0.5 * (
            (residual + spread) / math.exp(NOISE_LOGVAR) + F * (NOISE_LOGVAR + math.log(2 * math.pi))
        )
        return reconstruction + 0.5 * (q.var + q.mu.square() - 1 - q.logvar).sum(-1)


def mean_within(values: Tensor, expected: Tensor) -> bool:
    """Whether the mean over the samples is the expected one within 4 standard errors."""
    return bool(((values.mean(0) - expected).abs() < 4 * values.std(0) / math.sqrt(len(values))).all())


def test_exact_likelihood_is_scipy_s() -> None:
    scene = Scene()
    covariance = (scene.weight @ scene.weight.T + math.exp(NOISE_LOGVAR) * torch.eye(F, dtype=torch.float64)).numpy()
    by_scipy = -stats.multivariate_normal(scene.bias.numpy(), covariance).logpdf(scene.x.numpy())
    torch.testing.assert_close(scene.nll, torch.from_numpy(by_scipy), rtol=1e-10, atol=0)


def test_bound_at_the_true_posterior_is_the_likelihood() -> None:
    scene = Scene()
    q = scene.vae.encode(scene.x)
    torch.testing.assert_close(scene.expected_bound(q), scene.nll, rtol=1e-12, atol=0)
    assert mean_within(nll_bound(scene.passed(20_000, None)), scene.nll)


@pytest.mark.parametrize("shift", [-1.0, 0.0, 0.8])
@pytest.mark.parametrize("exponent", [None, 1.0, 1.5, 6.0])
def test_bound_holds_in_expectation_whatever_the_exponent(shift: float, exponent: float | None) -> None:
    scene = Scene(shift)
    trace = scene.passed(20_000, exponent)
    expected = scene.expected_bound(trace.q_sampled)
    assert (expected >= scene.nll - 1e-12).all()
    assert mean_within(nll_bound(trace), expected)
    # What it is above by is the KL to the true posterior.
    truth = Scene().vae.encode(scene.x)
    torch.testing.assert_close(expected - scene.nll, trace.q_sampled.kl(truth), rtol=1e-9, atol=1e-12)


def test_surrogate_is_not_a_bound() -> None:
    """With an exponent it falls below -log p(x), by what the excess KL is above the bound's gap."""
    scene = Scene()
    trace = scene.passed(20_000, 6.0)
    expected = scene.expected_bound(trace.q_sampled) - excess_kl(trace)
    assert mean_within(surrogate_nll(trace), expected)
    assert (expected < scene.nll - 0.5).all()


@pytest.mark.parametrize("exponent", [None, 2.0])
def test_importance_weights_tighten_from_the_bound_to_the_likelihood(exponent: float | None) -> None:
    scene = Scene(shift=0.5)
    trace = scene.passed(40_000, exponent)
    log_w = trace.p_x.log_prob(trace.x) + trace.p_z.log_prob(trace.z) - trace.q_sampled.log_prob(trace.z)
    estimates = []
    for k in (1, 5, 50):
        parts = -(log_w.view(-1, k, B).logsumexp(1) - math.log(k))
        stderr = parts.std(0) / math.sqrt(len(parts))
        assert (parts.mean(0) > scene.nll - 4 * stderr).all()
        estimates.append(parts.mean(0))
    assert mean_within(-log_w, scene.expected_bound(trace.q_sampled))
    assert (estimates[0] > estimates[1]).all()
    assert (estimates[1] > estimates[2]).all()
    assert (estimates[2] - scene.nll < 0.1).all()
