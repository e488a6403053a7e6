"""Reports on Pyro's models: what is observed is counted as Pyro counts it, and what has no report is refused."""

import pytest
import torch
from adapters.planted import NOISE, Planted

from lambda_vae.any_vae import diagnose
from lambda_vae.errors import InputError
from lambda_vae.likelihoods import bernoulli

pytest.importorskip("pyro", reason="pyro is an extra")

import pyro
from adapters.hosts.pyro_digits import built, digits, trained
from pyro import distributions as dist
from pyro import poutine
from pyro.infer import TraceMeanField_ELBO

from lambda_vae.integrations import pyro as adapter
from lambda_vae.integrations.pyro import diagnose_pyro


@pytest.mark.parametrize("frames", [1, 2])
def test_two_callables_give_what_the_pyro_report_gives(frames):
    vae, svi = built()
    trained(svi)
    vae.eval()
    vae.scale = 0.3  # an annealed KL is of the objective, not of the model

    def log_likelihood(x, z):
        return bernoulli(vae.decoder, logits=True)(x, z)

    def encode(x):
        mu, std = vae.encode(x)
        return mu, 2.0 * std.log()

    def pixels(x):
        pyro.module("decoder", vae.decoder)
        with pyro.plate("data", len(x), dim=-frames):
            prior = dist.Normal(torch.zeros(4), 1.0).to_event(1)
            z = pyro.sample("latent", prior.expand([len(x)] + [1] * (frames - 1)))
            logits = vae.decoder(z.reshape(len(x), 4))
            if frames == 1:
                pyro.sample("left", dist.Bernoulli(logits=logits[:, :32]).to_event(1), obs=x[:, :32])
                return pyro.sample("right", dist.Bernoulli(logits=logits[:, 32:]).to_event(1), obs=x[:, 32:])
            with pyro.plate("pixels", 64, dim=-1):
                return pyro.sample("obs", dist.Bernoulli(logits=logits), obs=x)

    x = digits()[1400:1500]
    theirs = diagnose(encode, log_likelihood, x, iw_samples=2)
    ours = diagnose_pyro(vae.model, vae.guide, x, iw_samples=2)
    assert ours.nll_bound == pytest.approx(theirs.nll_bound, rel=1e-5)
    assert ours.kl.tolist() == pytest.approx(theirs.kl.tolist())
    assert ours.verdicts == theirs.verdicts
    if frames == 1:
        assert diagnose_pyro(pixels, vae.guide, x, iw_samples=2).nll_bound == pytest.approx(theirs.nll_bound, rel=1e-5)
    else:
        z = torch.randn(100, 1, 4)
        log_p = adapter._observed(adapter._traced(poutine.condition(pixels, {"latent": z}), x), "latent")
        assert torch.allclose(log_p, log_likelihood(x, z[:, 0]), rtol=1e-5)


def test_masks_count_and_scales_do_not():
    vae, _ = built()
    x, z, known = digits()[:6], torch.randn(6, 4), torch.arange(6) < 4
    expected = bernoulli(vae.decoder, logits=True)(x, z)
    given = poutine.condition(vae.model, {"latent": z})
    scaled = adapter._observed(adapter._traced(poutine.scale(given, scale=0.1), x), "latent")
    masked = adapter._observed(adapter._traced(poutine.mask(given, mask=known), x), "latent")
    assert torch.allclose(scaled, expected)
    assert torch.allclose(masked, expected * known)


def test_planted_dead_dimensions_are_found():
    planted = Planted(["healthy", "dead", "prior", "healthy", "sharp"])

    def model(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("code", dist.Normal(torch.zeros(5), 1.0).to_event(1))
            pyro.sample("obs", dist.Normal(z @ planted.weights.T, NOISE).to_event(1), obs=x)

    def guide(x):
        with pyro.plate("data", len(x)):
            mu, logvar = planted.encode(x)
            pyro.sample("code", dist.Normal(mu, torch.exp(0.5 * logvar)).to_event(1))

    report = diagnose_pyro(model, guide, planted.x, site="code", iw_samples=2)
    assert report.verdicts == planted.truth
    assert report.causes[1:3] == ["no signal", "gradient imbalance"]


def _model(prior=None, extra=False, plate=True, observe=True):
    def model(x):
        if extra:
            pyro.sample("weight", dist.Normal(0.0, 1.0))
        with pyro.plate("data", len(x)):
            z = pyro.sample("latent", prior or dist.Normal(torch.zeros(4), 1.0).to_event(1))
            if plate and observe:
                pyro.sample("obs", dist.Normal(z, 1.0).to_event(1), obs=x[:, :4])
        if not plate:
            pyro.sample("obs", dist.Normal(z, 1.0).to_event(2), obs=x[:, :4])

    return model


def test_what_cannot_be_diagnosed_is_refused():
    vae, _ = built()
    x = digits()[:32]
    for model, expected in (
        (_model(dist.Normal(torch.zeros(4), 2.0).to_event(1)), r"prior of 'latent' is Normal\(0, 2\); .* N\(0, I\)"),
        (_model(dist.Laplace(torch.zeros(4), 1.0).to_event(1)), "prior of 'latent' is a Laplace"),
        (_model(extra=True), "the model also samples weight"),
        (_model(plate=False), "'obs' is observed outside of the plate"),
        (_model(observe=False), "the model observes nothing"),
    ):
        with pytest.raises(InputError, match=expected):
            diagnose_pyro(model, vae.eval().guide, x)
    with pytest.raises(InputError, match="the guide has no site 'z'; it has latent: say site="):
        diagnose_pyro(vae.model, vae.guide, x, site="z")
    with pytest.raises(InputError, match="in train mode"):
        diagnose_pyro(vae.train().model, vae.guide, x)
    with pytest.raises(InputError, match="the guide's 'latent' is a LogNormal"):
        diagnose_pyro(vae.eval().model, lambda x: pyro.sample("latent", dist.LogNormal(x, 1.0)), x)


@pytest.mark.parametrize("weight", [1.0, 0.25, 3.0])
@pytest.mark.parametrize("both", [True, False], ids=["guide and model", "guide alone"])
def test_causes_are_judged_by_what_pyros_own_elbo_weighs_the_kl(weight, both, monkeypatch):
    w = torch.tensor([[1.0, 0.5, -1.0], [0.2, 1.0, 0.3]])

    def model(x):
        with pyro.plate("data", len(x), subsample_size=len(x)):
            with poutine.scale(scale=weight if both else 1.0):
                z = pyro.sample("latent", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            pyro.sample("obs", dist.Normal(z @ w, 0.5).to_event(1), obs=x)

    def guide(x):
        with pyro.plate("data", len(x), subsample_size=len(x)), poutine.scale(scale=weight):
            pyro.sample("latent", dist.Normal(0.5 * x @ w.T, 0.3).to_event(1))

    x = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    told = []

    def spied(*given, **options):
        told.append(options["kl_weight"])
        return diagnose(*given, **options)

    monkeypatch.setattr(adapter, "diagnose", spied)
    report = diagnose_pyro(model, guide, x, iw_samples=64)
    torch.manual_seed(0)
    elbo = TraceMeanField_ELBO(num_particles=200).loss(model, guide, x) / len(x)
    assert told == [pytest.approx(weight)]
    expected = report.reconstruction + weight * float(report.kl.sum())
    assert elbo == pytest.approx(expected, rel=1e-2)


def test_the_noise_of_a_normal_is_read_off_the_model():
    def model(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("latent", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            pyro.sample("obs", dist.Normal(0.0 * z.sum(-1, keepdim=True), 2.0).expand([len(x), 4]).to_event(1), obs=x)

    def guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("latent", dist.Normal(torch.zeros(len(x), 2), 1.0).to_event(1))

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 1, generator=generator) * torch.ones(4) * 0.7 + 0.1 * torch.randn(500, 4, generator=generator)
    report = diagnose_pyro(model, guide, x, iw_samples=2)  # the strongest direction has std 1.4, below the noise of 2
    assert report.causes[0] == "decoder noise"
