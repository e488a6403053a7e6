"""Where lambda sits in an SVI: masks, several sites, a second call, and the way back."""

import math
from contextlib import ExitStack

import pytest
import torch
from torch import nn

from lambda_vae.errors import InputError

pytest.importorskip("pyro", reason="pyro is an extra")

import pyro
from adapters.hosts.pyro_digits import Written, built, digits, trained
from pyro import distributions as dist
from pyro import infer, poutine

from lambda_vae.any_vae import CollapseMonitor
from lambda_vae.integrations.pyro import equalize_pyro

REAL = torch.arange(10) < 3  # the other positions are padding, with the prior's sigma


def sequences(mask=None, events=1, dims=None, **elbo):
    """An SVI on 20 sequences of 10 positions with 3 latents: sigma is 0.2 where a position is real, else 1."""
    pyro.clear_param_store()
    layer = nn.Linear(3, 3)

    def plates():
        stack = ExitStack()
        shift = 0 if events else 1
        stack.enter_context(pyro.plate("sequence", 20, dim=-2 - shift))
        stack.enter_context(pyro.plate("position", 10, dim=-1 - shift))
        if shift:
            stack.enter_context(pyro.plate("latents", 3, dim=-1))
        if mask is not None:
            stack.enter_context(poutine.mask(mask=mask))
        return stack

    def model(x):
        with plates():
            z = pyro.sample("latent", dist.Normal(torch.zeros(3), 1.0).to_event(events))
            pyro.sample("obs", dist.Normal(z, 1.0).to_event(events), obs=x)

    def guide(x):
        pyro.module("layer", layer)
        std = torch.where(REAL[:, None], 0.2, 1.0).expand(20, 10, 3)
        with plates():
            pyro.sample("latent", dist.Normal(layer(x), std).to_event(events))

    return infer.SVI(model, guide, pyro.optim.Adam({"lr": 0.0}), infer.TraceMeanField_ELBO(**elbo))


@pytest.mark.parametrize(
    ("mask", "settings", "std"),
    [
        (None, {}, 0.76),
        (True, {}, 0.76),
        (REAL, {}, 0.2),
        (REAL.expand(20, 10), {}, 0.2),
        (~REAL, {}, 1.0),
        (torch.arange(20)[:, None] < 5, {}, 0.76),
        (REAL, {"num_particles": 2}, 0.2),
        (REAL, {"num_particles": 2, "vectorize_particles": True, "max_plate_nesting": 2}, 0.2),
        (REAL[:, None], {"events": 0}, 0.2),
        (REAL[:, None].expand(20, 10, 1), {"events": 0}, 0.2),
        (REAL[:, None], {"events": 0, "num_particles": 2, "vectorize_particles": True, "max_plate_nesting": 3}, 0.2),
    ],
)
def test_what_is_masked_is_not_observed(mask, settings, std):
    svi = sequences(mask, **settings)
    equalizer = equalize_pyro(svi, 3, 1.1)
    for _ in range(2):
        svi.step(torch.randn(20, 10, 3))
        equalizer.end_epoch()
    assert equalizer.running_std.tolist() == pytest.approx([std] * 3, abs=1e-6)


def test_a_mask_around_the_step_counts_and_one_of_the_latents_is_refused():
    svi = sequences()
    equalizer = equalize_pyro(svi, 3, 1.1, refresh_every=1)
    with poutine.mask(mask=REAL):
        svi.step(torch.randn(20, 10, 3))
    equalizer.end_epoch()
    assert equalizer.running_std.tolist() == pytest.approx([0.2] * 3, abs=1e-6)
    svi = sequences(torch.tensor([True, True, False]), events=0)
    equalize_pyro(svi, 3, 1.1)
    with pytest.raises(InputError, match="which tells latent dimensions apart"):
        svi.step(torch.randn(20, 10, 3))


@pytest.mark.parametrize("how", ["subsampled", "partly observed"])
def test_subsampling_and_masks_of_what_is_observed_are_left_as_they_are(how):
    x, size = torch.randn(100, 2), 25 if how == "subsampled" else None
    seen = {"subsampled": {}, "partly observed": {"obs_mask": torch.arange(100) < 30}}[how]

    def model():
        with pyro.plate("data", 100, subsample_size=size) as rows:
            z = pyro.sample("latent", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            pyro.sample("obs", dist.Normal(z, 1.0).to_event(1), obs=x[rows], **seen)

    def guide():
        mu = pyro.param("mu", torch.zeros(100, 2))
        with pyro.plate("data", 100, subsample_size=size) as rows:
            std = torch.where(rows < 50, 0.2, 0.4)[:, None].expand(-1, 2)
            pyro.sample("latent", dist.Normal(mu[rows], std).to_event(1))
            if seen:
                pyro.sample("obs_unobserved", dist.Normal(torch.zeros(2), 1.0).to_event(1))

    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    svi = infer.SVI(model, guide, pyro.optim.Adam({"lr": 0.1}), infer.TraceMeanField_ELBO())
    equalizer = equalize_pyro(svi, 2, 1.1, refresh_every=1)
    for _ in range(40):
        svi.step()
    equalizer.end_epoch()
    assert equalizer.running_std.tolist() == pytest.approx([0.3, 0.3], abs=0.01)


def test_a_narrowed_draw_trains_like_one_from_an_equalized_normal():
    losses = trained(built(Written)[1])  # its exponent is 2
    _, svi = built()
    equalize_pyro(svi, latent_dim=4, delta=1.5).exponent.fill_(2.0)
    assert trained(svi) == pytest.approx(losses, rel=1e-5)


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ({}, None),
        ({"decay": 0.5}, None),
        ({"decay": 0.9}, "'latent' is equalized already, with decay=0.5, where now decay=0.9"),
        ({"delta": 1.2}, r"with delta=1\.1, where now delta=1\.2"),
        ({"latent_dim": 3}, "with latent_dim=4, where now latent_dim=3"),
        ({"ramp_epochs": 2}, "with ramp_epochs=None, where now ramp_epochs=2"),
    ],
)
def test_a_second_call_finds_the_first(second, says):
    _, svi = built()
    first = equalize_pyro(svi, **({"latent_dim": 4, "delta": 1.1, "decay": 0.5}))
    again = {"latent_dim": 4, "delta": 1.1, "decay": 0.5} | second
    if says is None:
        assert equalize_pyro(svi, **again) is first
    else:
        with pytest.raises(InputError, match=f"{says} is asked for; use the first's equalizer, or .*remove"):
            equalize_pyro(svi, **again)
    first.remove()
    assert equalize_pyro(svi, **again) is not first


def test_a_watcher_gets_the_narrowed_draw_and_changes_nothing():
    _, svi = built()
    plain = trained(svi)
    _, svi = built()
    (site,) = equalize_pyro(svi, latent_dim=4, delta=math.inf).sites
    monitor = CollapseMonitor(4, reduction="sum", every=1)
    site.watch(lambda mu, std, z, exponent: monitor(mu, 2.0 * std.log(), z, exponent))
    assert trained(svi) == plain
    assert monitor.examples == 3 * 256
    monitor.end_epoch()
    assert bool((monitor.readings[0].decoder_capacity > 0).all())


def test_remove_gives_the_svi_back_bit_for_bit():
    vae, svi = built()
    losses = trained(svi)
    weights = {name: value.clone() for name, value in vae.state_dict().items()}
    vae, svi = built()
    host = svi.loss_and_grads
    equalizer = equalize_pyro(svi, latent_dim=4, delta=1.5)
    equalizer.exponent.fill_(3.0)
    assert "the guide's 'latent': z is the draw" in repr(equalizer)
    equalizer.remove()
    equalizer.remove()
    assert svi.loss_and_grads is host
    assert "latent'" not in repr(equalizer)
    assert "removed" in repr(equalizer)
    assert trained(svi) == losses
    assert all(torch.equal(vae.state_dict()[name], value) for name, value in weights.items())
    assert torch.equal(equalizer.running_std, torch.ones(4))


def two_sites(seen):
    """An SVI with a latent of 2 dimensions, sigma 0.5, and one of 3, sigma 0.25, made of the first."""
    pyro.clear_param_store()

    def model(x):
        with pyro.plate("data", len(x)):
            content = pyro.sample("content", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            style = pyro.sample("style", dist.Normal(torch.zeros(3), 1.0).to_event(1))
            seen.append((content, style))
            pyro.sample("obs", dist.Normal(content.sum(-1) + style.sum(-1), 1.0), obs=x)

    def guide(x):
        mu = pyro.param("mu", torch.zeros(2))
        with pyro.plate("data", len(x)):
            content = pyro.sample("content", dist.Normal(mu, 0.5 * torch.ones(len(x), 2)).to_event(1))
            mean = content.sum(-1, keepdim=True).expand(-1, 3)
            pyro.sample("style", dist.Normal(mean, 0.25 * torch.ones(len(x), 3)).to_event(1))

    return infer.SVI(model, guide, pyro.optim.Adam({"lr": 0.0}), infer.TraceMeanField_ELBO())


@pytest.mark.parametrize("removed", [None, "content", "style"])
def test_each_of_two_sites_has_an_equalizer_of_its_own(removed):
    seen = []
    svi = two_sites(seen)
    host = svi.loss_and_grads
    equalizers = {
        "content": equalize_pyro(svi, 2, 1.1, site="content"),
        "style": equalize_pyro(svi, 3, 1.1, site="style"),
    }
    for equalizer, exponent in zip(equalizers.values(), (2.0, 3.0), strict=True):
        equalizer.exponent.fill_(exponent)
    if removed:
        equalizers[removed].remove()
    pyro.set_rng_seed(0)
    svi.step(torch.zeros(20000))
    content, style = seen[-1]
    stds = content.std(0), (style - content.sum(-1, keepdim=True)).std(0)
    expected = (0.5 if removed == "content" else 0.25), (0.25 if removed == "style" else 0.25**3)
    for std, right in zip(stds, expected, strict=True):
        assert std.tolist() == pytest.approx([right] * len(std), rel=0.03)
    for name, std in (("content", 0.5), ("style", 0.25)):
        if name != removed:
            equalizers[name].end_epoch()
            equalizers[name].end_epoch()
            assert equalizers[name].running_std.tolist() == pytest.approx([std] * equalizers[name].latent_dim)
        assert equalize_pyro(svi, equalizers[name].latent_dim, 1.1, site=name) is equalizers[name] or name == removed
    for equalizer in (*equalizers.values(), *(site.equalizer for site in (svi.loss_and_grads,) if site is not host)):
        equalizer.remove()
    assert svi.loss_and_grads is host


@pytest.mark.parametrize("particles", [{}, {"num_particles": 3}, {"num_particles": 3, "vectorize_particles": True}])
def test_epochs_end_by_themselves_after_so_many_steps(particles):
    _, svi = built(loss=infer.TraceMeanField_ELBO(**particles))
    equalizer = equalize_pyro(svi, latent_dim=4, delta=1.05, steps_per_epoch=4, refresh_every=1)
    exponents = []
    for _ in range(10):
        svi.step(digits()[:32])
        exponents.append(int(equalizer.epoch))
    assert exponents == [0] * 4 + [1] * 4 + [2] * 2
    assert bool((equalizer.exponent > 1).all())
