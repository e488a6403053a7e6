"""The linear VAE against joint Gaussians, scipy, scikit-learn, and an optimiser that knows no eigenvalue."""

import math

import pytest
import torch
from scipy import stats
from sklearn.decomposition import PCA
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from exact_models import LinearGaussian, optimal_linear_gaussian, surviving
from lambda_vae.distributions import DiagGaussian
from lambda_vae.errors import InputError

SIZES = [(1, 1), (5, 2), (20, 8), (4, 6)]


def scene(features: int, dim: int, noise_var: float = 0.5) -> tuple[LinearGaussian, Tensor]:
    generator = torch.Generator().manual_seed(features)
    weight = torch.randn(features, dim, generator=generator, dtype=torch.float64)
    model = LinearGaussian(weight, torch.randn(features, generator=generator, dtype=torch.float64), noise_var)
    return model, model.sample(7, generator)


def covariance(model: LinearGaussian) -> Tensor:
    return model.weight @ model.weight.T + model.noise_var * torch.eye(len(model.bias), dtype=torch.float64)


@pytest.mark.parametrize(("features", "dim"), SIZES)
def test_likelihood_is_scipy_s(features: int, dim: int) -> None:
    model, x = scene(features, dim)
    law = stats.multivariate_normal(model.bias.numpy(), covariance(model).numpy())
    by_scipy = torch.as_tensor(law.logpdf(x.numpy()).reshape(-1))
    torch.testing.assert_close(model.nll(x), -by_scipy, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("features", "dim"), SIZES)
def test_posterior_is_the_conditional_of_the_joint_gaussian(features: int, dim: int) -> None:
    model, x = scene(features, dim)
    onto = torch.linalg.solve(covariance(model), model.weight).T  # cov(z, x) cov(x)^-1
    found = model.posterior(x)
    torch.testing.assert_close(found.mean, (x - model.bias) @ onto.T, rtol=1e-8, atol=1e-9)
    conditional = torch.eye(dim, dtype=torch.float64) - onto @ model.weight
    torch.testing.assert_close(model.posterior_covariance, conditional, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(found.covariance_matrix[0], conditional, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(("features", "dim"), SIZES)
def test_bound_exceeds_the_likelihood_by_the_kl_to_the_posterior(features: int, dim: int) -> None:
    model, x = scene(features, dim)
    q, other = model.best_posterior(x), DiagGaussian(x[:, :1].expand(7, dim), torch.full((7, dim), -0.3).double())
    for law in (q, other):
        full = MultivariateNormal(law.mu, torch.diag_embed(law.var))
        gap = model.nll_bound(x, law) - model.nll(x)
        torch.testing.assert_close(gap, kl_divergence(full, model.posterior(x)), rtol=1e-7, atol=1e-8)
    expected = torch.full((7,), model.gap, dtype=torch.float64)
    torch.testing.assert_close(model.nll_bound(x, q) - model.nll(x), expected, rtol=1e-7, atol=1e-8)


def test_no_diagonal_posterior_is_better_than_the_best() -> None:
    model, x = scene(20, 8)
    q = model.best_posterior(x)
    mu, logvar = q.mu.clone().requires_grad_(), q.logvar.clone().requires_grad_()
    bound = model.nll_bound(x, DiagGaussian(mu, logvar)).sum()
    for slope in torch.autograd.grad(bound, (mu, logvar)):
        assert slope.abs().max() < 1e-9
    assert (model.nll_bound(x, DiagGaussian(q.mu, q.logvar + 0.1)) > model.nll_bound(x, q)).all()
    assert model.gap > 0.1  # the columns are not orthogonal: no diagonal Gaussian is exact


def test_samples_have_the_law_s_covariance() -> None:
    model, _ = scene(5, 2)
    x = model.sample(40_000, torch.Generator().manual_seed(0))
    expected = covariance(model)
    stderr = ((expected.square() + expected.diagonal()[:, None] * expected.diagonal()) / len(x)).sqrt()
    assert ((x.T.cov() - expected).abs() < 4 * stderr).all()
    assert ((x.mean(0) - model.bias).abs() < 4 * (expected.diagonal() / len(x)).sqrt()).all()


def test_the_vae_is_the_model() -> None:
    model, x = scene(20, 8)
    vae = model.vae(std_factor=2.0)
    with torch.no_grad():
        q, best = vae.encode(x), model.best_posterior(x)
        torch.testing.assert_close(q.mu, best.mu, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(q.std, 2.0 * best.std, rtol=1e-10, atol=0)
        z = best.mu
        by_hand = stats.norm((z @ model.weight.T + model.bias).numpy(), math.sqrt(model.noise_var)).logpdf(x.numpy())
        torch.testing.assert_close(vae.decode(z).log_prob(x), torch.from_numpy(by_hand.sum(1)), rtol=1e-10, atol=0)


def data(n: int = 400) -> Tensor:
    """Centred directions of variance 4, 2, 1, 0.5, 0.25, turned out of the axes."""
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(n, 5, generator=generator, dtype=torch.float64)
    x = x * torch.tensor([4.0, 2.0, 1.0, 0.5, 0.25], dtype=torch.float64).sqrt()
    return x @ torch.linalg.qr(torch.randn(5, 5, generator=generator, dtype=torch.float64)).Q + 3.0


def test_the_best_noise_is_scikit_learn_s() -> None:
    x = data()
    fitted = PCA(2).fit(x.numpy())  # its covariances divide by n - 1
    model = optimal_linear_gaussian(x, 2)
    assert model.noise_var == pytest.approx(fitted.noise_variance_ * (len(x) - 1) / len(x), rel=1e-9)
    values = torch.linalg.eigvalsh(x.T.cov(correction=0))
    assert model.noise_var == pytest.approx(float(values[:3].mean()))
    # The third direction has more variance than that noise: one more dimension would not collapse.
    assert surviving(values, model.noise_var).tolist() == [False, False, True, True, True]


@pytest.mark.parametrize("noise_var", [0.1, 0.7, 1.5, 5.0])
def test_an_optimiser_of_the_bound_finds_the_collapse_that_is_predicted(noise_var: float) -> None:
    """It climbs the bound from a random start; the singular values it ends at are those of the formula."""
    x, generator = data(), torch.Generator().manual_seed(1)
    best = optimal_linear_gaussian(x, 4, noise_var)
    weight = (0.5 * torch.randn(5, 4, generator=generator, dtype=torch.float64)).requires_grad_()
    optimizer = torch.optim.LBFGS([weight], max_iter=400, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        model = LinearGaussian(weight, x.mean(0), noise_var)
        value = model.nll_bound(x, model.best_posterior(x)).mean()
        value.backward()
        return value

    optimizer.step(loss)
    found = torch.linalg.svdvals(weight.detach())
    predicted = best.weight.norm(dim=0)
    torch.testing.assert_close(found, predicted, rtol=1e-3, atol=2e-2)
    alive = surviving(torch.linalg.eigvalsh(x.T.cov(correction=0)).flip(0), noise_var)[:4]
    assert torch.equal(predicted > 0, alive)
    assert float(best.nll(x).mean()) <= float(loss().detach()) + 1e-9
    assert best.gap == pytest.approx(0.0, abs=1e-9)  # orthogonal columns: the diagonal posterior is exact


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x: LinearGaussian(torch.zeros(2, 1), torch.zeros(2), 0.0), "noise_var is 0.0"),
        (lambda x: LinearGaussian(torch.zeros(2, 1), torch.zeros(2), math.nan), "noise_var is nan"),
        (lambda x: optimal_linear_gaussian(x, 6), "latent_dim is 6"),
        (lambda x: optimal_linear_gaussian(x, 5), "leaves no eigenvalue"),
        (lambda x: optimal_linear_gaussian(x[:1], 2), "1 examples"),
        (lambda x: scene(5, 2)[0].vae(0.0), "std_factor is 0.0"),
    ],
)
def test_bad_input_is_refused(call, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call(data(10))
