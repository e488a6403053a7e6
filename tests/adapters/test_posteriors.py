"""What `encode` may answer: every parametrisation of sigma, Gaussians of torch, and what is no (mu, logvar)."""

import re
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from planted import LAWS, SCENES, SHAPES, planted
from torch.distributions import (
    AffineTransform,
    Independent,
    Laplace,
    LogNormal,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    TransformedDistribution,
    kl_divergence,
)

from lambda_vae.any_vae import diagnose
from lambda_vae.any_vae.torch_gaussians import gaussian_of
from lambda_vae.errors import InputError
from lambda_vae.likelihoods import gaussian

#: ln sigma^2 to what a host may return in its place.
FORMS = {
    "logvar": lambda logvar: logvar,
    "std": lambda logvar: (0.5 * logvar).exp(),
    "log_std": lambda logvar: 0.5 * logvar,
    "var": torch.exp,
    "softplus": lambda logvar: torch.expm1((0.5 * logvar).exp()).log(),
}
STYLE = torch.Generator().manual_seed(0)
X = torch.randn(200, 6, generator=STYLE)
W = torch.randn(2, 6, generator=STYLE)


def mu(x):
    return 0.9 * x[:, :2]


def logvar(x):
    return torch.full((len(x), 2), 0.19).log()


def ll(x, z):
    return gaussian(lambda z: torch.nn.functional.pad(z, (0, x.shape[1] - z.shape[1])))(x, z)


def measured(encode, log_likelihood=ll, data=X, **options):
    return diagnose(encode, log_likelihood, data, iw_samples=2, **options)


def said(encode, log_likelihood=ll, data=X, **options):
    with pytest.raises(InputError) as caught:
        measured(encode, log_likelihood, data, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("takes", FORMS)
def test_every_parametrisation_of_sigma_gives_one_report(takes):
    plain = measured(lambda x: (mu(x), logvar(x)))
    report = measured(lambda x: (mu(x), FORMS[takes](logvar(x))), takes=takes)
    assert report.nll_bound == pytest.approx(plain.nll_bound, abs=1e-4)
    assert report.kl.tolist() == pytest.approx(plain.kl.tolist(), abs=1e-5)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scene", SCENES)
def test_honest_models_are_neither_refused_nor_doubted_and_a_std_is_refused(law, shape, scene):
    model = planted(law, shape, SCENES[scene], 60, 0)
    for takes, form in FORMS.items():
        report = diagnose(
            lambda x, form=form: (model.encode(x)[0], form(model.encode(x)[1])),
            model.log_likelihood,
            model.x,
            iw_samples=1,
            takes=None if takes == "logvar" else takes,
        )
        assert not any("second tensor" in note for note in report.notes)
    for takes in ("std", "var"):
        with pytest.raises(InputError, match="takes='std'"):
            diagnose(
                lambda x, takes=takes: (model.encode(x)[0], FORMS[takes](model.encode(x)[1])),
                model.log_likelihood,
                model.x,
                iw_samples=1,
            )


@pytest.mark.parametrize(("spread", "sigma"), [(1.0, 0.01), (0.6, 0.01), (0.3, 0.01), (0.3, 0.3)])
def test_a_std_is_told_from_a_logvar_where_codes_are_narrow_too(spread, sigma):
    basis = torch.linalg.qr(torch.randn(8, 4, generator=torch.Generator().manual_seed(1))).Q
    x = torch.randn(300, 8, generator=torch.Generator().manual_seed(2))
    decode = gaussian(lambda z: z / spread @ basis.T, std=0.8)
    encode = lambda x: (spread * x @ basis, torch.full((len(x), 4), sigma))  # noqa: E731
    assert "takes='std'" in said(encode, decode, x)
    assert measured(encode, decode, x, takes="std").std_mean.tolist() == pytest.approx([sigma] * 4)
    kept = measured(encode, decode, x, takes="logvar")  # whoever insists is believed, and told
    assert any("as a standard deviation is" in note for note in kept.notes)


@pytest.mark.parametrize("logvar", [1e-3, 0.05, 0.2, -0.01])
def test_collapsed_and_overwide_models_are_no_mistake(logvar):
    report = measured(lambda x: (0.0 * x[:, :2], torch.full((len(x), 2), logvar)))
    assert report.verdicts == ["collapsed"] * 2
    jitter = measured(lambda x: (0.15 * x[:, :2], torch.full((len(x), 2), logvar)), gaussian(lambda z: 0.0 * z @ W))
    assert jitter.active_units == 2


@dataclass
class Answer:
    mu: torch.Tensor
    sigma: torch.Tensor


def quantised(x):
    codes = torch.linspace(-2, 2, 8)
    return mu(x), codes[(mu(x)[..., None] - codes).abs().argmin(-1)]


WRONG = {
    "two latents": (lambda x: (mu(x), logvar(x)) * 2, r"4 tensors.*concatenate the latents: `return torch\.cat"),
    "(z_e, z_q)": (quantised, "8 distinct values, as the z_q of a VQ-VAE"),
    "mu twice": (lambda x: (mu(x), mu(x) + 1e-3 * x[:, :2]), "all but the first one again"),
    "(z, mu, logvar)": (lambda x: (mu(x), mu(x), logvar(x)), r"\(z, mu, logvar\).*the last two"),
    "(mu, logvar, z)": (lambda x: (mu(x), logvar(x), mu(x)), r"\(mu, logvar, z\).*the first two"),
    "(mu, std, logvar)": (
        lambda x: (mu(x), (0.5 * logvar(x)).exp(), logvar(x)),
        r"\(mu, std, logvar\).*the first and the third",
    ),
    "forward": (
        lambda x: (x.tanh(), x.sin(), torch.full_like(x, -2.0)),
        r"\(reconstruction, mu, logvar\), as a forward returns them",
    ),
    "forward of another width": (lambda x: (x.tanh(), mu(x), logvar(x)), r"\(reconstruction, mu, logvar\)"),
    "a dict": (lambda x: {"z_mean": mu(x), "logvar": logvar(x)}, r"`return out\['z_mean'\], out\['logvar'\]`$"),
    "a dataclass": (lambda x: Answer(mu(x), logvar(x)), r"`return out\.mu, out\.sigma`, and say takes='std'"),
    "an output with its distribution": (
        lambda x: SimpleNamespace(latent_dist=SimpleNamespace(mean=mu(x), logvar=logvar(x))),
        r"with q = out\.latent_dist, `return q\.mean, q\.logvar`",
    ),
    "(distribution, z)": (
        lambda x: (Normal(mu(x), 1.0), mu(x)),
        r"return the distribution alone: `return encode\(x\)\[0\]`",
    ),
    "integers": (lambda x: (mu(x).long(), logvar(x)), "mu in int64"),
    "a Laplace": (lambda x: Laplace(mu(x), 1.0), r"a Laplace; only Gaussian.*no \(mu, logvar\) stands"),
    "a LogNormal": (lambda x: Independent(LogNormal(mu(x), 1.0), 1), "only Gaussian"),
    "the order": (lambda x: (logvar(x) + 0.01 * x[:, :2], mu(x)), "in this order: `return mu, logvar`"),
}


@pytest.mark.parametrize("case", WRONG)
def test_answers_that_are_no_posterior(case):
    encode, pattern = WRONG[case]
    text = said(encode)
    assert re.search(pattern, text), text


def test_takes_is_checked():
    assert "takes is 'sd'; it is one of 'logvar', 'std'" in said(lambda x: (mu(x), logvar(x)), takes="sd")
    assert "goes down to -1.66, and a standard deviation is above 0" in said(lambda x: (mu(x), logvar(x)), takes="std")
    assert "log of 0" in said(lambda x: (mu(x), 0.0 * logvar(x)), takes="var")


def test_softplus_and_log_std_taken_for_logvar_are_doubted():
    basis = torch.linalg.qr(torch.randn(8, 4, generator=torch.Generator().manual_seed(1))).Q
    gain = torch.tensor([2.0, 4.0, 8.0, 16.0])
    x = torch.randn(500, 4, generator=torch.Generator().manual_seed(2)) * gain @ basis.T
    x = x + torch.randn(500, 8, generator=torch.Generator().manual_seed(3))
    var = 1.0 / (1.0 + gain.square())
    decode = gaussian(lambda z: z * gain @ basis.T)
    for takes in ("softplus", "log_std"):
        encode = lambda x, takes=takes: (x @ basis * gain * var, FORMS[takes](var.log()).expand(len(x), 4))  # noqa: E731
        assert not any("Sigma does not fit" in note for note in measured(encode, decode, x, takes=takes).notes)
        (note,) = (note for note in measured(encode, decode, x).notes if "Sigma does not fit" in note)
        assert f"takes={takes!r}" in note


def linear():
    """A linear model with correlated loadings, its exact posterior and -log p(x)."""
    chance = torch.Generator().manual_seed(5)
    loadings = torch.tensor([[1.0, 0.9, 0.1, 0.5, 0.3], [0.9, 1.0, 0.0, 0.4, 0.2], [0.3, 0.2, 1.0, 0.1, 0.1]])
    x = torch.randn(400, 3, generator=chance) @ loadings + 0.4 * torch.randn(400, 5, generator=chance)
    covariance = torch.linalg.inv(loadings @ loadings.T / 0.16 + torch.eye(3))
    mean = lambda x: x @ loadings.T @ covariance / 0.16  # noqa: E731
    evidence = MultivariateNormal(torch.zeros(5), loadings.T @ loadings + 0.16 * torch.eye(5)).log_prob(x)
    return x, mean, covariance, gaussian(lambda z: z @ loadings, std=0.4), -float(evidence.mean())


def test_a_full_covariance_is_measured_exactly():
    x, mean, covariance, log_likelihood, evidence = linear()
    report = diagnose(lambda x: MultivariateNormal(mean(x), covariance), log_likelihood, x, iw_samples=8)
    prior = MultivariateNormal(torch.zeros(3), torch.eye(3))
    closed = kl_divergence(MultivariateNormal(mean(x), covariance), prior).mean()
    assert report.rate == pytest.approx(float(closed), rel=1e-5)
    # the exact posterior: every importance weight is p(x), and the bound is tight
    assert float(report.best_importance.nll.value) == pytest.approx(evidence, abs=1e-4)
    assert report.nll_bound == pytest.approx(evidence, abs=0.15)  # by two draws for each of 400 examples
    assert report.kl.sum() < report.rate
    assert report.std_mean.tolist() == pytest.approx(covariance.diagonal().sqrt().tolist(), rel=1e-5)
    # at the exact posterior every dimension's own scale is stationary, whatever it is correlated with
    assert report.gradient_ratio.tolist() == pytest.approx([1.0] * 3, abs=0.15)
    assert report.verdicts == ["active"] * 3
    assert report.active_directions is None
    (note,) = (note for note in report.notes if "full covariance" in note)
    assert f"{report.rate - float(report.kl.sum()):.2f} nats" in note


def test_a_full_covariance_of_maps_and_under_an_exponent():
    x, mean, covariance, log_likelihood, _ = linear()
    plain = diagnose(lambda x: MultivariateNormal(mean(x), covariance), log_likelihood, x, iw_samples=8)
    pairs = x[:400].reshape(200, 2, 5)
    both = diagnose(
        lambda x: MultivariateNormal(mean(x), covariance),
        lambda x, z: log_likelihood(x.flatten(0, 1), z.flatten(0, 1)).view(-1, 2).sum(1),
        pairs,
        iw_samples=8,
    )
    assert both.rate == pytest.approx(2 * plain.rate, rel=1e-4)
    assert both.kl.tolist() == pytest.approx((2 * plain.kl).tolist(), rel=1e-4)
    assert float(both.best_importance.nll.value) == pytest.approx(2 * float(plain.best_importance.nll.value), abs=1e-3)
    narrow = diagnose(
        lambda x: MultivariateNormal(mean(x), covariance),
        log_likelihood,
        x,
        iw_samples=8,
        exponent=torch.full((3,), 2.0),
    )
    assert narrow.sampling_std.tolist() == pytest.approx(covariance.diagonal().tolist(), rel=1e-4)
    assert narrow.rate_q == pytest.approx(plain.rate, rel=1e-5)


SAME = {
    "diagonal MultivariateNormal": lambda m, s: MultivariateNormal(m, scale_tril=torch.diag_embed(s)),
    "Independent": lambda m, s: Independent(Normal(m, s), 1),
    "low rank": lambda m, s: LowRankMultivariateNormal(m, torch.zeros(*m.shape, 1), s.square()),
    "moved": lambda m, s: TransformedDistribution(
        Independent(Normal(torch.zeros_like(m), torch.ones_like(m)), 1), AffineTransform(m, s, event_dim=1)
    ),
}


@pytest.mark.parametrize("case", SAME)
def test_gaussians_of_torch_are_all_one(case):
    plain = measured(lambda x: (mu(x), logvar(x)))
    report = measured(lambda x: SAME[case](mu(x), (0.5 * logvar(x)).exp()))
    assert report.nll_bound == pytest.approx(plain.nll_bound, abs=1e-4)
    assert report.rate == pytest.approx(plain.rate, abs=1e-4)
    assert not any("full covariance" in note for note in report.notes)


def test_a_scaled_full_gaussian_keeps_its_covariance():
    base = MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, 0.6], [0.6, 1.0]]))
    moved = TransformedDistribution(base, AffineTransform(torch.ones(2), torch.tensor([2.0, -3.0]), event_dim=1))
    found = gaussian_of(moved)
    drawn = moved.sample((200_000,))
    torch.testing.assert_close(found.factor @ found.factor.T, torch.cov(drawn.T), atol=0.1, rtol=0.0)
    assert bool((found.factor.diagonal() > 0.0).all())
    assert found.loc.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_precision_of_the_answer(dtype):
    plain = measured(lambda x: (mu(x), logvar(x)))
    seen = []

    def log_likelihood(x, z):
        seen.append(z.dtype)
        return ll(x, z.float())

    report = measured(lambda x: (mu(x).to(dtype), logvar(x).to(dtype)), log_likelihood)
    assert report.nll_bound == pytest.approx(plain.nll_bound, abs=0.03)
    assert report.kl.tolist() == pytest.approx(plain.kl.tolist(), abs=0.01)
    assert set(seen) == {dtype}  # the host's own layers take nothing else


def test_an_encoder_in_inference_mode():
    plain = measured(lambda x: (mu(x), logvar(x)))
    report = measured(torch.inference_mode()(lambda x: (mu(x), logvar(x))))
    assert report.to_dict() == plain.to_dict()
