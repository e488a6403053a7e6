"""Pyro's own SVI under lambda: bit for bit at 1, the KL of sigma above it, and a collapse cured."""

import pytest
import torch
from torch.distributions import kl_divergence

from lambda_vae.equalization.theory import narrowing, sampling_std
from lambda_vae.errors import InputError

pytest.importorskip("pyro", reason="pyro is an extra")

import pyro
from adapters.hosts.pyro_digits import built, digits, trained
from pyro import distributions as dist
from pyro import infer, poutine

from lambda_vae.integrations.pyro import EqualizedNormal, diagnose_pyro, equalize_pyro


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

    svi.loss_and_grads(vae.model, watched, x)  # in the first call Pyro counts plates
    pyro.set_rng_seed(2)
    loss = svi.loss_and_grads(vae.model, watched, x)
    law, z = seen[-1]
    mu, std = (one.detach() for one in vae.encode(x[:1]))
    assert type(law) is type(dist.Normal(0.0, torch.ones(4)).to_event(1))
    assert torch.allclose(law.base_dist.scale, std)
    assert torch.allclose(z.flatten(0, -2).std(0), sampling_std(std[0], equalizer.exponent), rtol=0.04)
    equalizer.remove()
    pyro.set_rng_seed(2)
    svi.loss_and_grads(vae.model, watched, x)
    drawn = seen[-1][1]
    assert torch.equal(z[..., 0], drawn[..., 0])  # at lambda = 1 the host's own
    factor = narrowing(std, torch.tensor([1.0, 2.0, 3.0, 20.0]))
    assert torch.allclose(z, mu + factor * (drawn - mu), atol=1e-5)
    z = z if z.dim() == 2 else z[0]
    kl = kl_divergence(dist.Normal(mu, std), dist.Normal(0.0, 1.0)).sum()
    replayed = poutine.trace(poutine.condition(vae.model, {"latent": z})).get_trace(x)
    nll = -replayed.nodes["obs"]["fn"].log_prob(x).sum().detach()
    assert loss == pytest.approx(float(nll + 5000 * kl), rel=1e-3)


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
    assert vae.encoder[0].weight.grad is None
    vae.guide = lambda x: pyro.sample("latent", dist.LogNormal(torch.zeros(len(x), 4), 1.0).to_event(1))
    svi = infer.SVI(vae.model, vae.guide, pyro.optim.Adam({"lr": 0.1}), infer.TraceMeanField_ELBO())
    equalize_pyro(svi, latent_dim=4, delta=1.1)
    with pytest.raises(InputError, match="the guide's 'latent' is a LogNormal; it must be a Normal"):
        svi.step(digits()[:8])
    assert torch.equal(vae.encoder[0].weight, weights)
    with pytest.raises(InputError, match=r"exponent is 0\.5"):
        EqualizedNormal(torch.zeros(2), torch.ones(2), 0.5)
