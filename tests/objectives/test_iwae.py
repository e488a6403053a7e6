"""IWAE: its value, the plain gradient for decoder and prior, the doubly reparametrised one for the encoder."""

from dataclasses import replace

import pytest
import torch
from small_scene import EXPONENT, B, D, LearnedPrior, batch, normal, passed, small_vae
from torch.distributions import Normal

from lambda_vae.diagnostics.gradients import scores
from lambda_vae.distributions import DiagGaussian, GaussianMixture
from lambda_vae.errors import InputError
from lambda_vae.estimation.likelihood import LogWeights
from lambda_vae.objectives import ELBO, IWAE, nll_bound
from lambda_vae.training import Trainer, TrainOptions


def log_weights(trace, kl_weight=1.0):
    """Anew from torch.distributions, every gradient in place: the plain IWAE's."""
    q = Normal(trace.q_sampled.mu, trace.q_sampled.std)
    log_ratio = trace.p_z.log_prob(trace.drawn.z) - q.log_prob(trace.drawn.z).sum(-1)
    return trace.p_x.log_prob(trace.x) + kl_weight * log_ratio


def plain_loss(trace, kl_weight=1.0):
    return -log_weights(trace, kl_weight).exp().mean(0).log()


@pytest.mark.parametrize("exponent", [None, EXPONENT])
@pytest.mark.parametrize("kl_weight", [1.0, 0.3, 0.0])
def test_value_is_minus_the_log_of_the_mean_weight(exponent, kl_weight):
    trace = passed(exponent=exponent, samples=5)
    loss = IWAE()(trace, kl_weight).loss
    assert loss.shape == (5, B)
    torch.testing.assert_close(loss, plain_loss(trace, kl_weight).expand(5, B))


def test_value_is_the_one_that_the_test_set_is_measured_with():
    trace = passed(samples=5)
    nll = LogWeights.empty(B, "cpu").fold(log_weights(trace).detach()).nll
    torch.testing.assert_close(IWAE()(trace).loss.mean(0).detach(), nll)


def many(samples, copies, vae=None):
    """The batch so many times over, each with noise of its own."""
    return (vae or small_vae())(batch().repeat(copies, 1), normal(samples, copies * B, D))


def assert_mean_is_zero(values):
    assert abs(values.mean().item()) < 4 * values.std().item() / len(values) ** 0.5


def test_one_sample_is_a_monte_carlo_elbo():
    """Value for value where the KL is one of draws, and in the mean where it has a closed form."""
    drawn = passed(small_vae(prior=LearnedPrior(opaque=True)), samples=1)
    torch.testing.assert_close(IWAE()(drawn).loss, ELBO()(drawn).loss)
    with torch.no_grad():
        trace = many(1, 2000)
        assert_mean_is_zero((IWAE()(trace).loss - ELBO()(trace).loss).view(2000, B).mean(1))


@torch.no_grad()
def test_more_samples_give_a_lower_bound_on_the_nll_in_the_mean():
    few, more = (IWAE()(many(samples, 500)).loss[0].view(500, B).mean(1) for samples in (4, 32))
    difference = few - more
    assert difference.mean().item() > 10 * difference.std().item() / 500**0.5


@pytest.mark.parametrize("kl_weight", [1.0, 0.3])
def test_decoder_and_prior_get_the_plain_gradient_exactly(kl_weight):
    gradients = []
    for loss in (lambda trace: IWAE()(trace, kl_weight).loss, lambda trace: plain_loss(trace, kl_weight)):
        vae = small_vae(prior=LearnedPrior(opaque=True))
        loss(passed(vae, samples=5)).mean().backward()
        gradients.append([parameter.grad for part in (vae.decoder, vae.prior) for parameter in part.parameters()])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-14)


def encoder_gradients(loss, samples, copies=2000, vae=None):
    """The gradient at mu and logvar of every example, from `copies` independent draws: [copies, 2, B, D]."""
    trace = many(samples, copies, vae)
    found = torch.autograd.grad(torch.atleast_2d(loss(trace)).mean(0).sum(), (trace.q.mu, trace.q.logvar))
    return torch.stack(found).view(2, copies, B, D).transpose(0, 1)


@pytest.mark.parametrize(("samples", "kl_weight"), [(1, 1.0), (5, 1.0), (5, 0.4)])
def test_encoder_gets_the_plain_gradient_in_the_mean(samples, kl_weight):
    ours = encoder_gradients(lambda trace: IWAE()(trace, kl_weight).loss, samples)
    plain = encoder_gradients(lambda trace: plain_loss(trace, kl_weight), samples)
    difference = ours - plain
    stderr = difference.std(0) / len(difference) ** 0.5
    assert (difference.mean(0).abs() < 4.5 * stderr).all()
    assert (plain.mean(0).abs() > 10 * stderr).double().mean() > 0.5


def test_the_factor_is_needed():
    """The check above can fail: holding q fixed in its density, without the second weight, is far off."""

    def biased(trace):
        given = DiagGaussian(trace.q.mu.detach(), trace.q.logvar.detach())
        z = trace.drawn.z
        return -(trace.p_x.log_prob(trace.x) + trace.p_z.log_prob(z) - given.log_prob(z)).exp().mean(0).log()

    difference = encoder_gradients(biased, 5) - encoder_gradients(plain_loss, 5)
    stderr = difference.std(0) / len(difference) ** 0.5
    assert (difference.mean(0).abs() > 10 * stderr).any()


def test_encoder_s_gradient_is_the_quieter_one():
    """What the double reparametrisation is for; seen where q is near the true posterior, as after some training."""
    vae = small_vae()
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter.mul_(0.3)
    ours, plain = (
        encoder_gradients(loss, 64, copies=200, vae=vae) for loss in (lambda trace: IWAE()(trace).loss, plain_loss)
    )
    assert ours.std(0).mean() < 0.5 * plain.std(0).mean()


def gradients_of(loss, vae):
    vae.zero_grad()
    loss.mean().backward()
    return [parameter.grad.clone() for parameter in vae.parameters()]


def test_nothing_of_a_call_is_left_in_the_trace():
    """Neither another call nor another loss of the same trace meets the factor of this one."""
    vae = small_vae()
    once = gradients_of(IWAE()(passed(vae)).loss, vae)
    bound = gradients_of(nll_bound(passed(vae)), vae)
    trace = passed(vae)
    IWAE()(trace, 0.5)
    again = IWAE()(trace)
    for ours, theirs in zip(gradients_of(again.loss, vae), once, strict=True):
        assert torch.equal(ours, theirs)
    trace = passed(vae)
    IWAE()(trace)
    for ours, theirs in zip(gradients_of(nll_bound(trace), vae), bound, strict=True):
        assert torch.equal(ours, theirs)


def test_without_gradients_it_is_a_number():
    with torch.no_grad():
        trace = passed()
        torch.testing.assert_close(IWAE()(trace).loss[0], plain_loss(trace))


def test_hopeless_samples_leave_finite_gradients():
    """Weights that underflow to 0 in float32."""
    vae = small_vae(torch.float32)
    trace = vae(batch(torch.float32), 30 * normal(4, B, D, dtype=torch.float32))
    arrived = []
    trace.z.register_hook(arrived.append)
    terms = IWAE()(trace)
    assert (terms.weight == 0).any()
    assert all(gradient.isfinite().all() for gradient in gradients_of(terms.loss, vae))
    assert terms.dlogp_dz(arrived[0]).isfinite().all()


def test_a_posterior_that_cannot_be_held_fixed_is_refused():
    trace = passed()
    one = GaussianMixture(trace.q.mu[:, None], trace.q.logvar[:, None])
    with pytest.raises(InputError, match="GaussianMixture is none; leave out iwae"):
        IWAE()(replace(trace, q_sampled=one))


def test_training_records_each_sample_s_own_score(tmp_path):
    """The gradient that arrives at z is weighted; the record is not."""
    vae, steps = small_vae(torch.float32), []
    options = TrainOptions(epochs=1, batch_size=B, samples=4, learning_rate=1e-30)
    trainer = Trainer(vae, IWAE(), batch(torch.float32), lambda x, rows, generator: x, options)
    trainer.recorder.observe = steps.append
    trainer._train_step(trainer.draws.batch(torch.arange(B), 1.0, 0))
    (step,) = steps
    assert step.terms.weight.std() > 0.1
    torch.testing.assert_close(step.dlogp_dz, scores(vae, step.trace.x, step.trace.z), rtol=1e-3, atol=1e-5)
