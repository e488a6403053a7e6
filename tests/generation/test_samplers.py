"""Laws fitted to codes: they find what is known of the codes, say what they cannot fit, and come back from a file."""

import pytest
import torch
from safetensors.torch import save_file
from scipy.stats import multivariate_normal

from lambda_vae.distributions import FullGaussianMixture, standard_normal
from lambda_vae.errors import InputError
from lambda_vae.generation import (
    FITTED,
    fit_flow,
    fit_gaussian,
    fit_mixture,
    flow,
    load_sampler,
    prior_sampler,
    samplers,
    save_sampler,
)

FACTOR = torch.tensor([[2.0, 0.0], [-1.5, 0.5]], dtype=torch.float64)


def correlated(n, generator, mean=3.0):
    return (mean + torch.randn(n, 2, generator=generator, dtype=torch.float64) @ FACTOR.T).float()


def bent(n, generator):
    """y = x^2 / 2 + noise: no Gaussian follows it."""
    x, noise = torch.randn(2, n, generator=generator)
    return torch.stack([x, 0.5 * x.square() + 0.3 * noise], 1)


def log_density_of_bent(z):
    def normal(value, std):
        return torch.distributions.Normal(0.0, std).log_prob(value)

    return normal(z[:, 0], 1.0) + normal(z[:, 1] - 0.5 * z[:, 0].square(), 0.3)


@pytest.fixture
def quick(monkeypatch):
    """A flow small enough for a test."""
    monkeypatch.setattr(flow, "_HIDDEN", (32,))
    monkeypatch.setattr(flow, "_LEARNING_RATE", 1e-2)


def test_the_gaussian_has_the_codes_own_mean_and_covariance(generator):
    codes = correlated(500, generator)
    sampler = fit_gaussian(codes)
    scipy = multivariate_normal(codes.double().mean(0).numpy(), torch.cov(codes.double().T).numpy())
    z = codes[:50].double()
    assert torch.allclose(sampler.log_prob(z), torch.from_numpy(scipy.logpdf(z.numpy())), rtol=1e-9)
    drawn = sampler.sample(50_000, generator).double()
    assert torch.allclose(torch.cov(drawn.T), torch.cov(codes.double().T), atol=0.12)


def test_the_mixture_finds_clusters(generator):
    means = torch.tensor([[-4.0, 0.0], [4.0, 0.0], [0.0, 6.0]])
    truth = FullGaussianMixture(torch.tensor([0.2, 0.3, 0.5]), means, FACTOR[None].expand(3, -1, -1) * 0.3)
    fit = fit_mixture(truth.rsample(torch.randn(3000, 3, generator=generator)), components=3)
    order = fit.density.means[:, :].sum(1).argsort()
    assert torch.allclose(fit.density.means[order], means[[0, 1, 2]].double(), atol=0.15)
    assert torch.allclose(fit.density.weights[order], torch.tensor([0.2, 0.3, 0.5]).double(), atol=0.03)
    new = truth.rsample(torch.randn(5000, 3, generator=generator)).double()
    lost = truth.log_prob(new) - fit.log_prob(new)  # its mean is KL(truth || fit); 17 parameters / (2 * 3000) = 0.003
    assert -0.002 < lost.mean() < 0.012


def test_the_flow_follows_what_no_gaussian_does(generator, quick):
    fit, gaussian = (f(bent(3000, generator)) for f in (fit_flow, fit_gaussian))
    new = bent(5000, generator)
    truth = log_density_of_bent(new)
    assert (truth - gaussian.log_prob(new)).mean() > 0.4
    assert -0.01 < (truth - fit.log_prob(new)).mean() < 0.15


def test_the_flow_s_density_integrates_to_one_and_its_draws_follow_it(generator, quick):
    sampler = fit_flow(5.0 + 3.0 * bent(2000, generator))
    z = sampler.sample(4000, generator)
    wide = fit_gaussian(z)
    proposal = FullGaussianMixture(torch.ones(1), wide.density.means, 1.7 * wide.density.factors)
    points = proposal.rsample(torch.randn(40_000, 3, generator=generator))
    weights = (sampler.log_prob(points) - proposal.log_prob(points)).exp().double()
    assert (weights.mean() - 1.0).abs() < 4.5 * weights.std() / 200
    for power in (1, 2):  # moments of the draws against moments of the density
        known = (weights[:, None] * points.double() ** power).mean(0) / weights.mean()
        error = (z.double() ** power).std(0) / 4000**0.5 + (weights[:, None] * points.double() ** power).std(0) / 200
        assert ((z.double() ** power).mean(0) - known).abs().lt(4.5 * error).all()


def test_the_flow_keeps_the_scale_of_far_codes(generator, quick):
    codes = torch.tensor([1e3, -5.0]) + torch.tensor([10.0, 0.01]) * torch.randn(2000, 2, generator=generator)
    sampler = fit_flow(codes)
    drawn = sampler.sample(2000, generator)
    assert torch.allclose(drawn.mean(0), codes.mean(0), rtol=1e-2)
    assert torch.allclose(drawn.std(0), codes.std(0), rtol=0.15)
    assert torch.allclose(sampler.density.marginals().mu, codes.mean(0), rtol=1e-2)
    assert torch.allclose(sampler.density.marginals().std, codes.std(0), rtol=0.15)


@pytest.mark.parametrize("name", FITTED)
def test_one_seed_one_fit_and_nobody_else_s_chance(generator, quick, name):
    codes = correlated(300, generator)
    before = torch.get_rng_state()
    one, same = (FITTED[name](codes, 3) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    chance = [torch.Generator().manual_seed(1) for _ in range(2)]
    assert torch.equal(one.sample(9, chance[0]), same.sample(9, chance[1]))
    assert not torch.equal(one.sample(9, chance[0]), one.sample(9, chance[0]))
    assert one.sample(9, chance[0]).dtype == torch.float32
    assert f"{len(codes)} training codes" in one.note


@pytest.mark.parametrize("name", FITTED)
def test_a_saved_fit_comes_back_bit_for_bit(generator, quick, tmp_path, name):
    codes = correlated(300, generator)
    fit = FITTED[name](codes, 0)
    save_sampler(tmp_path / "fit.safetensors", fit)
    back = load_sampler(tmp_path / "fit.safetensors")
    assert (back.name, back.note) == (fit.name, fit.note)
    assert torch.equal(back.log_prob(codes), fit.log_prob(codes))
    chance = [torch.Generator().manual_seed(1) for _ in range(2)]
    assert torch.equal(back.sample(5, chance[0]), fit.sample(5, chance[1]))


def test_the_prior_is_not_saved(tmp_path):
    with pytest.raises(InputError, match="the sampler 'prior' is no fit"):
        save_sampler(tmp_path / "prior.safetensors", prior_sampler(standard_normal(2)))
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_no_samplers(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load_sampler(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("text")
    save_file({"weights": torch.ones(1)}, tmp_path / "model.safetensors", {"format": "lambda-vae model 1"})
    said = {"format": "lambda-vae sampler 1", "name": "flow"}
    save_file({"mean": torch.ones(2), "std": torch.ones(2)}, tmp_path / "half.safetensors", said)
    save_file({"weights": torch.ones(1)}, tmp_path / "less.safetensors", said | {"name": "mixture"})
    for name in ("text", "model", "half", "less"):
        with pytest.raises(InputError, match="holds no sampler"):
            load_sampler(tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize("name", FITTED)
def test_codes_that_carry_no_fit_are_refused(generator, name):
    codes = correlated(300, generator)
    with pytest.raises(InputError, match="there are 2 codes of 2 dimensions; this fit needs at least"):
        FITTED[name](codes[:2], 0)
    flat = codes.clone()
    flat[:, 1] = 0.5
    with pytest.raises(InputError, match=r"no spread in dimensions \[1\]"):
        FITTED[name](flat, 0)
    codes[7, 0] = torch.nan
    with pytest.raises(InputError, match="some codes are not finite"):
        FITTED[name](codes, 0)


def test_dependent_codes_carry_no_gaussian(generator):
    line = torch.arange(100.0)[:, None] * torch.tensor([1.0, 2.0])
    with pytest.raises(InputError, match="lie in fewer dimensions"):
        fit_gaussian(line)


def test_a_mixture_of_nothing_is_refused(generator):
    with pytest.raises(InputError, match="0 components were asked for"):
        fit_mixture(correlated(300, generator), components=0)


def test_a_mixture_that_has_not_settled_says_so(generator, monkeypatch):
    monkeypatch.setattr(samplers, "_EM_PASSES", 1)
    assert "stopped after 1 passes before it had settled" in fit_mixture(correlated(300, generator)).note
