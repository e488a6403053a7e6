"""Priors that are not N(0, I): given, learned, conditional; and codes that do not fit the one that was assumed."""

import pytest
import torch
from planted import SCENES, Planted
from torch import nn
from torch.distributions import (
    Categorical,
    Independent,
    Laplace,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from lambda_vae.any_vae import diagnose
from lambda_vae.any_vae.prior_fit import codes_off_prior
from lambda_vae.distributions import DiagGaussian, TorchDensity
from lambda_vae.errors import InputError
from lambda_vae.likelihoods import gaussian

CHANCE = torch.Generator().manual_seed(0)
BASIS = torch.linalg.qr(torch.randn(6, 2, generator=CHANCE)).Q.T


class Scaled:
    """A linear model with the prior N(shift, spread^2), its exact posterior, and -log p(x)."""

    def __init__(self, spread, shift=0.0, examples=1000):
        self.spread, self.shift = spread, shift
        z = shift + spread * torch.randn(examples, 2, generator=CHANCE)
        self.x = z @ BASIS + 0.5 * torch.randn(examples, 6, generator=CHANCE)
        self.var = 1.0 / (1.0 / spread**2 + 1.0 / 0.25)
        covariance = spread**2 * BASIS.T @ BASIS + 0.25 * torch.eye(6)
        self.nll = -float(MultivariateNormal(shift * BASIS.sum(0), covariance).log_prob(self.x).mean())

    def encode(self, x):
        mean = (x @ BASIS.T / 0.25 + self.shift / self.spread**2) * self.var
        return mean, torch.full((len(x), 2), self.var).log()

    def log_likelihood(self, x, z):
        return gaussian(lambda z: z @ BASIS, std=0.5)(x, z)

    def report(self, encode=None, **options):
        return diagnose(encode or self.encode, self.log_likelihood, self.x, iw_samples=8, **options)


WIDE = Scaled(3.0, 1.0)
GAUSSIANS = {
    "a number": Normal(1.0, 3.0),
    "a vector": Normal(torch.ones(2), torch.full((2,), 3.0)),
    "Independent": Independent(Normal(torch.ones(2), torch.full((2,), 3.0)), 1),
    "MultivariateNormal": MultivariateNormal(torch.ones(2), 9.0 * torch.eye(2)),
    "a callable": lambda x: Normal(torch.ones(len(x), 2), 3.0),
    "a callable that does not look": lambda x: Normal(1.0, 3.0),
}


@pytest.mark.parametrize("name", GAUSSIANS)
def test_a_gaussian_prior_gives_the_exact_bound_and_the_verdicts_of_its_units(name):
    report = WIDE.report(prior=GAUSSIANS[name])
    assert report.nll_bound == pytest.approx(WIDE.nll, abs=0.03)
    assert float(report.best_importance.nll.value) == pytest.approx(WIDE.nll, abs=1e-3)  # the exact posterior
    q = WIDE.encode(WIDE.x)
    closed = kl_divergence(Normal(q[0], (0.5 * q[1]).exp()), Normal(1.0, 3.0)).mean(0)
    assert report.kl.tolist() == pytest.approx(closed.tolist(), rel=1e-4)
    assert report.verdicts == ["active"] * 2
    assert report.std_mean.tolist() == pytest.approx([WIDE.var**0.5 / 3.0] * 2, rel=1e-4)
    assert report.gradient_ratio.tolist() == pytest.approx([1.0] * 2, abs=0.15)
    assert not any("do not look like" in note for note in report.notes)
    if "callable" not in name:
        assert report.residual is not None  # and its decoder is asked in its own units
        assert report.residual.directions == 0


def test_without_prior_the_misfit_is_said():
    (note,) = (note for note in WIDE.report().notes if "do not look like N(0, I)" in note)
    assert "give prior=" in note
    assert WIDE.report().nll_bound > WIDE.nll + 1.0


MODES = torch.tensor([[-2.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, -2.0]])


def test_a_code_that_is_its_conditional_prior_has_collapsed():
    c = torch.randint(0, 4, (600,), generator=CHANCE)
    x = 2 * nn.functional.one_hot(c, 4).float() + 0.3 * torch.randn(600, 4, generator=CHANCE)
    encode = lambda x: (MODES[x.argmax(1)], torch.full((len(x), 2), 0.5).log())  # noqa: E731
    log_likelihood = gaussian(lambda z: 0.0 * torch.cat([z, z], 1))
    plain = diagnose(encode, log_likelihood, x, iw_samples=2)
    assert any("do not look like N(0, I)" in note for note in plain.notes)
    report = diagnose(encode, log_likelihood, x, iw_samples=2, prior=lambda x: Normal(MODES[x.argmax(1)], 0.5**0.5))
    assert report.kl.tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    assert report.verdicts == ["collapsed"] * 2
    # the same with c beside x, for the prior alone
    given = diagnose(
        encode,
        log_likelihood,
        [(x, x.argmax(1))],
        iw_samples=2,
        prior=lambda x, c: Normal(MODES[c], torch.full((2,), 0.5**0.5)),
    )
    assert given.verdicts == report.verdicts
    assert given.rate == pytest.approx(0.0, abs=1e-6)


MIXTURE = MixtureSameFamily(
    Categorical(torch.tensor([0.3, 0.7])),
    Independent(Normal(torch.tensor([[-2.0, 0.0], [2.0, 1.0]]), torch.tensor([[1.0, 0.5], [0.7, 1.5]])), 1),
)
OTHERS = {
    "a mixture": MIXTURE,
    "a mixture of each dimension": MixtureSameFamily(
        Categorical(torch.tensor([0.5, 0.5])), Normal(torch.tensor([-2.0, 2.0]), torch.tensor([0.6, 0.6]))
    ),
    "Laplace": Laplace(0.5, 2.0),
    "a full covariance": MultivariateNormal(torch.tensor([1.0, -1.0]), torch.tensor([[4.0, 1.5], [1.5, 2.0]])),
}


@pytest.mark.parametrize("name", OTHERS)
def test_rates_under_any_prior_are_those_of_monte_carlo(name):
    prior = OTHERS[name]
    report = WIDE.report(prior=prior, encode=WIDE.encode)
    mu, logvar = WIDE.encode(WIDE.x)
    q = Normal(mu, (0.5 * logvar).exp())
    torch.manual_seed(1)
    z = q.sample((400,))
    log_p = prior.log_prob(z)
    ratio = q.log_prob(z).sum(-1) - (log_p.sum(-1) if log_p.dim() == 3 else log_p)
    assert report.rate == pytest.approx(float(ratio.mean()), abs=0.03)
    reconstruction = -gaussian(lambda z: z @ BASIS, std=0.5)(WIDE.x.repeat(400, 1), z.flatten(0, 1)).mean()
    assert report.nll_bound == pytest.approx(float(reconstruction + ratio.mean()), abs=0.06)
    if name in ("Laplace", "a mixture of each dimension"):
        each = (q.log_prob(z) - log_p).mean((0, 1))
        assert report.kl.tolist() == pytest.approx(each.tolist(), abs=0.03)
        assert float(report.kl.sum()) == pytest.approx(report.rate, rel=1e-3)
    assert "over-sharp" not in report.verdicts


def test_importance_weights_use_the_prior():
    """A wrong posterior under a Laplace prior: many weights come to -log p(x), taken on a grid."""
    model = Scaled(1.0, examples=50)
    prior = Laplace(0.0, 1.0)
    report = diagnose(model.encode, model.log_likelihood, model.x, iw_samples=4000, prior=prior)
    grid = torch.linspace(-8, 8, 201)
    z = torch.cartesian_prod(grid, grid)
    log_joint = gaussian(lambda z: z @ BASIS, std=0.5)
    area = float(grid[1] - grid[0]) ** 2
    exact = [
        -float(
            (log_joint(row.expand(len(z), -1), z) + prior.log_prob(z).sum(-1)).logsumexp(0) + torch.tensor(area).log()
        )
        for row in model.x
    ]
    assert float(report.best_importance.nll.value) == pytest.approx(sum(exact) / len(exact), abs=0.02)


def test_ratio_of_an_optimum_under_a_mixture_is_one():
    """Sigma trained under a two-peaked prior: the pull of the prior is measured, not that of N(0, I)."""
    prior = MixtureSameFamily(Categorical(torch.ones(2)), Normal(torch.tensor([-2.0, 2.0]), torch.tensor([0.4, 0.4])))
    torch.manual_seed(3)
    x = prior.sample((4000, 2)) @ BASIS + 0.5 * torch.randn(4000, 6, generator=CHANCE)
    mean = (2.0 * (x @ BASIS.T).sign() / 0.16 + x @ BASIS.T / 0.25) / (1 / 0.16 + 1 / 0.25)
    log_std = (0.5 * torch.tensor(1 / (1 / 0.16 + 1 / 0.25)).log()).repeat(2).requires_grad_()
    optimizer = torch.optim.Adam([log_std], 0.02)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, 300)
    for step in range(300):
        eps = torch.randn(mean.shape, generator=torch.Generator().manual_seed(step))
        z = mean + log_std.exp() * eps
        loss = -(gaussian(lambda z: z @ BASIS, std=0.5)(x, z) + prior.log_prob(z).sum(-1)).mean() - log_std.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    logvar = 2.0 * log_std.detach()
    where = {tuple(row): code for row, code in zip(x.tolist(), mean, strict=True)}
    encode = lambda x: (torch.stack([where[tuple(row)] for row in x.tolist()]), logvar.expand(len(x), 2))  # noqa: E731
    report = diagnose(encode, gaussian(lambda z: z @ BASIS, std=0.5), x, iw_samples=2, prior=prior)
    assert report.gradient_ratio.tolist() == pytest.approx([1.0, 1.0], abs=0.15)


def test_priors_of_maps_are_those_of_their_channels():
    spread = torch.tensor([1.0, 3.0])
    prior = Normal(torch.zeros(2), spread)
    x = torch.randn(200, 2, 3, 3, generator=CHANCE) * spread[:, None, None]
    encode = lambda x: (0.9 * x, torch.full_like(x, -2.0))  # noqa: E731
    report = diagnose(encode, gaussian(lambda z: z), x, iw_samples=2, prior=prior)
    closed = kl_divergence(Normal(0.9 * x, torch.tensor(-1.0).exp()), Normal(torch.zeros(()), spread[:, None, None]))
    assert report.kl.tolist() == pytest.approx(closed.mean(0).sum((1, 2)).tolist(), rel=1e-4)
    series = diagnose(encode, gaussian(lambda z: z), x.flatten(2).mT.contiguous(), iw_samples=2, prior=prior)
    assert series.kl.tolist() == pytest.approx(report.kl.tolist(), rel=1e-4)


BAD = {
    "a tensor": (torch.ones(2), "prior is a Tensor; give a torch distribution"),
    "a shape": (Normal(torch.zeros(3), 1.0), r"prior has shape \[3\]; it must be that of a latent, \[2\]"),
    "what a callable gives": (lambda x: torch.zeros(2), "prior returned a Tensor"),
    "a mixture that depends on x": (lambda x: MIXTURE, "that depends on x; that is measured for Gaussians alone"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_priors(case):
    prior, pattern = BAD[case]
    with pytest.raises(InputError, match=pattern):
        WIDE.report(prior=prior)
    with pytest.raises(InputError, match="prior and exponent were both given"):
        WIDE.report(prior=Normal(0.0, 3.0), exponent=torch.full((2,), 2.0))


@pytest.mark.parametrize("scene", SCENES)
def test_honest_codes_fit(scene):
    model = Planted(SCENES[scene], examples=300)
    mu, logvar = model.encode(model.x)
    assert codes_off_prior(DiagGaussian(mu, logvar), 1) is None


def test_two_peaks_do_not_fit_though_their_moments_do():
    signs = torch.randn(500, 8, generator=CHANCE).sign()
    assert "do not look like" in codes_off_prior(DiagGaussian(0.98 * signs, torch.full((500, 8), 0.04).log()), 1)


def test_the_quadrature_places_every_number():
    rows = torch.tensor([[0.0, 1.0, 2.0, 3.0]])
    law = Normal(torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.tensor([[1.0, 2.0], [0.5, 1.5]]))
    flipped = TorchDensity(law, lambda z: z.reshape(*z.shape[:-1], 2, 2).mT, torch.zeros(4), torch.ones(4))
    q = DiagGaussian(rows, torch.zeros(1, 4))
    closed = kl_divergence(Normal(rows.view(1, 2, 2).mT, 1.0), law).mT.flatten(1)
    torch.testing.assert_close(flipped.kl_each(q), closed.double(), atol=1e-5, rtol=1e-5)
