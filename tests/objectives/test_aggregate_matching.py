"""InfoVAE and WAE: what their weights mean, and that neither touches the record of the reconstruction."""

from dataclasses import replace

import pytest
import torch
from small_scene import EXPONENT, B, D, LearnedPrior, normal, passed, small_vae

from lambda_vae.errors import InputError
from lambda_vae.objectives import ELBO, IMQ, WAE, InfoVAE, squared_mmd


@pytest.mark.parametrize("exponent", [None, EXPONENT])
@pytest.mark.parametrize("kl_weight", [1.0, 0.3])
def test_alpha_zero_and_lambda_one_are_the_elbo_bit_for_bit(exponent, kl_weight):
    trace = passed(small_vae(torch.float32), exponent)
    assert torch.equal(InfoVAE(0.0, 1.0)(trace, kl_weight).loss, ELBO()(trace, kl_weight).loss)


def test_info_vae_is_its_equation():
    """Eq. 6 term by term, the MMD of each sample alone."""
    trace = passed(exponent=EXPONENT)
    kernel = IMQ((0.5,))
    mmd = torch.stack([squared_mmd(trace.z[k], normal(B, D, seed=3), kernel) for k in range(3)])
    expected = -trace.p_x.log_prob(trace.x) + 0.5 * (0.75 * trace.q.kl(trace.p_z) + (0.25 + 9 - 1) * mmd[:, None])
    torch.testing.assert_close(InfoVAE(0.25, 9.0, kernel)(trace, 0.5).loss, expected)


def test_wae_is_its_algorithm_and_has_no_kl():
    trace = passed()
    base, scales = 2 * D, (0.1, 0.2, 0.5, 1, 2, 5, 10)

    def kernel(r):
        return sum(base * scale / (base * scale + 2 * D * r) for scale in scales)

    mmd = torch.stack([squared_mmd(trace.z[k], normal(B, D, seed=3), kernel) for k in range(3)])
    terms = WAE(20.0)(trace, 0.5)
    torch.testing.assert_close(terms.loss, -trace.p_x.log_prob(trace.x) + 10.0 * mmd[:, None])
    torch.testing.assert_close(terms.rate_q, trace.q.kl(trace.p_z).detach())
    assert torch.equal(WAE(0.0)(trace).loss, terms.reconstruction)


def test_info_vae_without_its_kl_is_a_wae_with_its_kernel():
    trace = passed()
    torch.testing.assert_close(InfoVAE(1.0, 20.0, WAE(0.0).kernel)(trace).loss, WAE(20.0)(trace).loss)


@pytest.mark.parametrize("objective", [InfoVAE(0.5, 10.0), WAE(20.0)], ids=repr)
def test_gradient_that_arrives_at_z_is_the_reconstruction_s_alone(objective):
    trace = passed()
    expected = torch.autograd.grad(trace.p_x.log_prob(trace.x).sum(), trace.z, retain_graph=True)[0]
    arrived = []
    trace.z.register_hook(arrived.append)
    terms = objective(trace)
    terms.loss.mean().backward()
    torch.testing.assert_close(terms.dlogp_dz(arrived[0]), expected)


@pytest.mark.parametrize("objective", [InfoVAE(1.0, 10.0), WAE(20.0)], ids=repr)
def test_penalty_falls_along_its_gradient_and_reaches_a_learned_prior(objective):
    vae = small_vae(prior=LearnedPrior(opaque=True))
    trace = passed(vae)
    penalty = (objective(trace).loss - objective(trace).reconstruction).mean()
    wanted = [*vae.posterior.parameters(), *vae.prior.parameters()]
    gradients = torch.autograd.grad(penalty, wanted)
    assert all((gradient != 0).any() for gradient in gradients)
    with torch.no_grad():
        for parameter, gradient in zip(wanted, gradients, strict=True):
            parameter -= 1e-3 * gradient
        after = objective(passed(vae))
    assert (after.loss - after.reconstruction).mean() < penalty


@pytest.mark.parametrize("objective", [InfoVAE(0.5, 10.0), WAE(20.0)], ids=repr)
def test_traces_without_noise_for_the_prior_are_refused(objective):
    assert objective.draws_prior
    with pytest.raises(InputError, match="brings no prior_eps"):
        objective(replace(passed(), prior_eps=None))


@pytest.mark.parametrize(
    ("alpha", "info_lambda", "what"),
    [
        (1.5, 1.0, "info_alpha is 1.5; it must be a finite number, 1 or less"),
        (float("nan"), 1.0, "info_alpha is nan"),
        (-float("inf"), 1.0, "info_alpha is -inf"),
        (0.2, 0.5, r"info_lambda is 0.5; it must be a finite number, 1 - info_alpha = 0.8 or greater"),
        (0.2, float("inf"), "info_lambda is inf"),
        (0.2, float("nan"), "info_lambda is nan"),
    ],
)
def test_bad_weights_of_info_vae_are_refused(alpha, info_lambda, what):
    with pytest.raises(InputError, match=what):
        InfoVAE(alpha, info_lambda)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_bad_weight_of_wae_is_refused(weight):
    with pytest.raises(InputError, match=f"wae_weight is {weight}"):
        WAE(weight)
