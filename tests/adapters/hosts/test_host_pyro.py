"""Pyro's own SVI under lambda: bit for bit at 1, the KL of sigma above it, and every other ELBO refused."""

import runpy
import sys

import pytest
import torch
from adapters.planted import NOISE, Planted
from sklearn.datasets import load_digits
from torch import nn
from torch.distributions import kl_divergence

from lambda_vae.adapters import bernoulli, diagnose
from lambda_vae.equalization.theory import sampling_std
from lambda_vae.errors import InputError

pyro = pytest.importorskip("pyro", reason="pyro is an extra")

from pyro import distributions as dist  # noqa: E402
from pyro import infer, poutine  # noqa: E402

from lambda_vae.adapters.hosts import pyro as adapter  # noqa: E402
from lambda_vae.adapters.hosts.pyro import (  # noqa: E402
    EqualizedNormal,
    diagnose_pyro,
    equalize_pyro,
    require_mean_field,
)

# torch.jit.trace is what Pyro's Jit ELBOs are made of, and torch has begun to advise against it
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


class PyroVAE(nn.Module):
    """The VAE of Pyro's own tutorial."""

    def __init__(self, latent_dim=4, features=64, prior=None):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(features, 128), nn.ReLU(), nn.Linear(128, 2 * latent_dim))
        self.decoder = nn.Sequential(nn.Linear(latent_dim, 128), nn.ReLU(), nn.Linear(128, features))
        self.latent_dim, self.prior, self.scale = latent_dim, prior, 1.0

    def encode(self, x):
        mu, logvar = self.encoder(x).chunk(2, dim=-1)
        return mu, torch.exp(0.5 * logvar)

    def model(self, x):
        pyro.module("decoder", self.decoder)
        with pyro.plate("data", len(x)):
            with poutine.scale(scale=self.scale):
                prior = self.prior or dist.Normal(torch.zeros(self.latent_dim), 1.0).to_event(1)
                z = pyro.sample("latent", prior)
            pyro.sample("obs", dist.Bernoulli(logits=self.decoder(z)).to_event(1), obs=x)

    def guide(self, x):
        pyro.module("encoder", self.encoder)
        with pyro.plate("data", len(x)), poutine.scale(scale=self.scale):
            mu, std = self.encode(x)
            pyro.sample("latent", dist.Normal(mu, std).to_event(1))


class Written(PyroVAE):
    """With an EqualizedNormal written into its guide."""

    exponent = 2.0

    def guide(self, x):
        pyro.module("encoder", self.encoder)
        with pyro.plate("data", len(x)):
            pyro.sample("latent", EqualizedNormal(*self.encode(x), self.exponent).to_event(1))


def digits():
    return (torch.tensor(load_digits().data) > 7).float()


def built(kind=PyroVAE, loss=None, lr=2e-3, **more):
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    vae = kind(**more)
    return vae, infer.SVI(vae.model, vae.guide, pyro.optim.Adam({"lr": lr}), loss or infer.TraceMeanField_ELBO())


def trained(svi, epochs=3, equalizer=None, n=256, batch=64):
    pyro.set_rng_seed(1)
    losses = []
    for _ in range(epochs):
        for x in digits()[:n][torch.randperm(n)].split(batch):
            losses.append(svi.step(x))
        if equalizer is not None:
            equalizer.end_epoch()
    return losses


def test_with_delta_infinite_a_training_is_the_hosts_bit_for_bit():
    vae, svi = built()
    plain = trained(svi), {name: value.clone() for name, value in vae.state_dict().items()}
    other, equalized = built()
    equalizer = equalize_pyro(equalized, latent_dim=4, delta=float("inf"))
    assert trained(equalized, equalizer=equalizer) == plain[0]
    assert plain[0][0] != plain[0][-1]
    assert all(torch.equal(other.state_dict()[name], value) for name, value in plain[1].items())
    assert not torch.equal(equalizer.running_std, torch.ones(4))  # it did look on


@pytest.mark.parametrize("particles", [{}, {"num_particles": 2}, {"num_particles": 2, "vectorize_particles": True}])
def test_a_step_draws_with_sigma_to_the_lambda_and_its_kl_is_sigmas(particles):
    vae, svi = built(loss=infer.TraceMeanField_ELBO(**particles))
    equalizer = equalize_pyro(svi, latent_dim=4, delta=1.5)
    equalizer.exponent.copy_(torch.tensor([1.0, 2.0, 3.0, 20.0]))
    x = digits()[:1].expand(5000, -1)
    seen = []
    host = vae.guide

    class Look(poutine.messenger.Messenger):
        def _pyro_post_sample(self, msg):
            if msg["name"] == "latent":
                seen.append((msg["fn"], msg["value"].detach()))

    def watched(x):
        with Look():
            host(x)

    elbo = svi.loss_and_grads.host.__self__
    loss = svi.loss_and_grads(vae.model, watched, x)
    law, z = seen[0]
    mu, std = vae.encode(x[:1])
    assert torch.allclose(law.base_dist.scale, std.detach())
    narrow = svi.loss_and_grads.equalize.over(vae.guide)
    z = poutine.trace(narrow).get_trace(x).nodes["latent"]["value"].detach()
    assert torch.allclose(z.std(0), sampling_std(std[0], equalizer.exponent).detach(), rtol=0.04)
    kl = kl_divergence(dist.Normal(mu, std), dist.Normal(0.0, 1.0)).sum().detach()
    replayed = poutine.trace(poutine.condition(vae.model, {"latent": z})).get_trace(x)
    nll = -replayed.nodes["obs"]["fn"].log_prob(x).sum().detach()
    assert loss == pytest.approx(float(nll + 5000 * kl), rel=1e-3)
    assert elbo.num_particles == particles.get("num_particles", 1)


def test_whatever_else_runs_the_guide_draws_with_sigma():
    vae, svi = built()
    x = digits()[:256]
    pyro.set_rng_seed(5)
    before = svi.evaluate_loss(x)
    equalizer = equalize_pyro(svi, latent_dim=4, delta=1.5)
    equalizer.exponent.fill_(20.0)
    pyro.set_rng_seed(5)
    assert svi.evaluate_loss(x) == before
    drawn = poutine.trace(vae.guide).get_trace(x).nodes["latent"]["fn"]
    assert not isinstance(drawn.base_dist, EqualizedNormal)


def test_lambda_rises_falls_back_and_is_kept_in_a_state():
    _, svi = built()
    equalizer = equalize_pyro(svi, latent_dim=4, delta=1.05, release_epochs=2, total_epochs=6)
    trained(svi, epochs=3, equalizer=equalizer)
    assert bool((equalizer.exponent > 1).all())
    _, other = built()
    again = equalize_pyro(other, latent_dim=4, delta=1.05, release_epochs=2, total_epochs=6)
    again.load_state_dict(equalizer.state_dict())
    trained(other, epochs=3, equalizer=again)
    assert torch.equal(again.exponent, torch.ones(4))


REFUSED = [
    infer.Trace_ELBO, infer.JitTrace_ELBO, infer.TraceGraph_ELBO, infer.JitTraceGraph_ELBO, infer.TraceEnum_ELBO,
    infer.JitTraceEnum_ELBO, infer.TraceTMC_ELBO, infer.RenyiELBO, infer.TraceTailAdaptive_ELBO,
    infer.ReweightedWakeSleep, infer.Trace_MMD, infer.JitTraceMeanField_ELBO,
]  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_other_elbos_are_refused_by_name(kind):
    elbo = kind(**{"kernel": {}} if kind is infer.Trace_MMD else {})
    for given in (elbo, built(loss=elbo)[1]):
        with pytest.raises(InputError, match=rf"the loss is {kind.__name__}, which .* use TraceMeanField_ELBO"):
            require_mean_field(given)
    with pytest.raises(InputError, match=kind.__name__):
        equalize_pyro(built(loss=elbo)[1], latent_dim=4, delta=1.1)


SCORING = [kind for kind in REFUSED if kind.__name__ not in ("Trace_MMD", "JitTraceMeanField_ELBO")]


@pytest.mark.parametrize("kind", SCORING)
@pytest.mark.filterwarnings("ignore:.*:torch.jit.TracerWarning")
def test_an_equalized_normal_in_a_guide_is_scored_by_none_of_them(kind):
    more = (
        {"num_particles": 2, "vectorize_particles": True}
        if kind is not infer.ReweightedWakeSleep
        else {"num_particles": 2}
    )
    if "Enum" in kind.__name__ or "TMC" in kind.__name__:
        more |= {"max_plate_nesting": 1, "strict_enumeration_warning": False}
    if kind is infer.ReweightedWakeSleep:
        more |= {"vectorize_particles": False}
    vae, svi = built(Written, loss=kind(**more))
    weights = {name: value.clone() for name, value in vae.state_dict().items()}
    with pytest.raises(InputError, match=r"not the density that z was drawn from; train with TraceMeanField_ELBO"):
        svi.step(digits()[:8])
    if kind is not infer.TraceTailAdaptive_ELBO:  # has no loss of its own to evaluate
        with pytest.raises(InputError, match="not the density"):
            svi.evaluate_loss(digits()[:8])
    assert all(torch.equal(vae.state_dict()[name], value) for name, value in weights.items())


def own_objective(model, guide, x):
    """As in Pyro's tutorial on custom objectives."""
    guide_trace = poutine.trace(guide).get_trace(x)
    model_trace = poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(x)
    return -(model_trace.log_prob_sum() - guide_trace.log_prob_sum())


def test_an_objective_of_ones_own_is_refused_too():
    _, svi = built(Written, loss=own_objective)
    with pytest.raises(InputError, match="not the density"):
        svi.step(digits()[:8])
    with pytest.raises(InputError, match="the loss is own_objective, which estimates the KL from samples"):
        equalize_pyro(svi, latent_dim=4, delta=1.1)


class Mixture(dist.MixtureSameFamily):
    """A prior to which no KL is known."""


def mixture():
    parts = dist.Normal(torch.zeros(4, 2), torch.ones(4, 2))
    return Mixture(dist.Categorical(torch.ones(4, 2)), parts).to_event(1)


@pytest.mark.parametrize("written", [False, True])
def test_a_mean_field_elbo_that_would_fall_back_on_samples_is_refused(written):
    _, svi = built(Written if written else PyroVAE, prior=mixture())
    if not written:
        equalize_pyro(svi, latent_dim=4, delta=1.1)
    with pytest.raises(InputError, match=r"a prior whose KL from a Normal Pyro knows in closed form"):
        svi.step(digits()[:8])


@pytest.mark.parametrize("validate", [True, False])
@pytest.mark.parametrize("more", [{}, {"num_particles": 2, "vectorize_particles": True, "max_plate_nesting": 1}])
def test_an_equalized_normal_in_a_guide_trains_under_the_mean_field_elbo(validate, more):
    with pyro.validation_enabled(validate):
        _, svi = built(Written, loss=infer.TraceMeanField_ELBO(**more))
        losses = trained(svi, epochs=2)
        with poutine.mask(mask=torch.arange(8) < 4), poutine.scale(scale=0.5):
            svi.step(digits()[:8])
        assert isinstance(svi.evaluate_loss(digits()[:8]), float)
    assert losses[-1] < losses[0]


def test_at_exponent_one_the_written_guide_is_the_hosts_bit_for_bit():
    _, plain = built()
    losses = trained(plain)
    vae, svi = built(Written)
    vae.exponent = 1.0
    assert trained(svi) == losses


def test_its_density_elsewhere_and_its_kl_are_plain_numbers():
    q = EqualizedNormal(torch.zeros(5, 3), torch.full((5, 3), 0.5), 2.0).to_event(1)
    prior = dist.Normal(torch.zeros(3), torch.ones(3)).to_event(1)
    assert float(q.log_prob(torch.ones(5, 3)).sum() + 0.0) == pytest.approx(
        float(dist.Normal(0.0, 0.5).log_prob(torch.tensor(1.0)) * 15), rel=1e-5
    )
    plain = dist.Normal(torch.zeros(5, 3), torch.full((5, 3), 0.5)).to_event(1)
    assert torch.equal(kl_divergence(q, prior), kl_divergence(plain, prior))
    z = q.rsample()
    for copied in (z, z.detach()):
        with pytest.raises(InputError, match="not the density"):
            q.log_prob(copied) - 1.0


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


def test_a_collapse_is_reported_cured_by_one_line_and_reported_again():
    reports = []
    for cure in (False, True):
        vae, svi = built(latent_dim=32, lr=5e-3)
        equalizer = equalize_pyro(svi, latent_dim=32, delta=1.2, release_epochs=25, total_epochs=70) if cure else None
        trained(svi, epochs=70, equalizer=equalizer, n=1400, batch=200)
        vae.eval()
        reports.append(diagnose_pyro(vae.model, vae.guide, digits()[1400:], iw_samples=2))
    before, after = reports
    assert before.verdicts.count("collapsed") > 0
    assert all(before.causes[i] for i, verdict in enumerate(before.verdicts) if verdict == "collapsed")
    assert after.active_units >= before.active_units + 3


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


def test_without_the_extra_one_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyro", None)
    with pytest.raises(InputError, match=r"pyro is not installed; pip install 'lambda-vae\[pyro\]'"):
        runpy.run_path(adapter.__file__)


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


def test_what_cannot_be_equalized_is_refused():
    vae, svi = built()
    weights = vae.encoder[0].weight.clone()
    with pytest.raises(InputError, match="svi is a PyroVAE; for another loop use EqualizedNormal"):
        equalize_pyro(vae, latent_dim=4, delta=1.1)
    with pytest.raises(InputError, match=r"delta is 0\.5"):
        equalize_pyro(svi, latent_dim=4, delta=0.5)
    equalize_pyro(svi, latent_dim=4, delta=1.1, site="z")
    with pytest.raises(InputError, match=r"the guide has no site 'z'; it has latent: say equalize_pyro"):
        svi.step(digits()[:8])
    with pytest.raises(InputError, match="equalized already"):
        equalize_pyro(svi, latent_dim=4, delta=1.1)
    vae.guide = lambda x: pyro.sample("latent", dist.LogNormal(torch.zeros(len(x), 4), 1.0).to_event(1))
    svi = infer.SVI(vae.model, vae.guide, pyro.optim.Adam({"lr": 0.1}), infer.TraceMeanField_ELBO())
    equalize_pyro(svi, latent_dim=4, delta=1.1)
    with pytest.raises(InputError, match="the guide's 'latent' is a LogNormal; it must be a Normal"):
        svi.step(digits()[:8])
    assert torch.equal(vae.encoder[0].weight, weights)
    with pytest.raises(InputError, match=r"exponent is 0\.5"):
        EqualizedNormal(torch.zeros(2), torch.ones(2), 0.5)
