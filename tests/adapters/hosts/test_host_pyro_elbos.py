"""An EqualizedNormal in a Pyro guide: the mean-field ELBO trains it, and every other objective is refused."""

import pytest
import torch
from torch.distributions import kl_divergence

from lambda_vae.errors import InputError

pytest.importorskip("pyro", reason="pyro is an extra")

import pyro
from adapters.hosts.pyro_digits import PyroVAE, Written, built, digits, trained
from pyro import distributions as dist
from pyro import infer, poutine

from lambda_vae.integrations.pyro import EqualizedNormal, equalize_pyro, require_mean_field

# torch.jit.trace is what Pyro's Jit ELBOs are made of, and torch has begun to advise against it
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")

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
