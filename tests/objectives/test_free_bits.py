"""Free bits: the formula of Kingma et al. 2016, group by group."""

import pytest
import torch
from small_scene import EXPONENT, B, D, LearnedPrior, passed, small_vae
from torch.distributions import Normal, kl_divergence

from lambda_vae.errors import InputError
from lambda_vae.objectives import ELBO, FreeBits


@pytest.mark.parametrize("exponent", [None, EXPONENT])
@pytest.mark.parametrize("kl_weight", [1.0, 0.3])
def test_free_bits_at_zero_is_the_elbo_bit_for_bit(exponent, kl_weight):
    trace = passed(small_vae(torch.float32), exponent)
    assert torch.equal(FreeBits(D, 0.0)(trace, kl_weight).loss, ELBO()(trace, kl_weight).loss)
    torch.testing.assert_close(FreeBits(D, 0.0, 2)(trace, kl_weight).loss, ELBO()(trace, kl_weight).loss)


@pytest.mark.parametrize(("free_bits", "group"), [(2.0, 1), (5.0, 2), (15.0, 4)])
def test_mean_loss_is_the_formula_by_hand(free_bits, group):
    trace = passed()
    kl = kl_divergence(Normal(trace.q.mu, trace.q.std), Normal(0.0, 1.0)).mean(0).detach()
    groups = [float(kl[start : start + group].sum()) for start in range(0, D, group)]
    assert group == D or min(groups) < free_bits < max(groups)
    expected = ELBO()(trace, 0.0).loss.mean().item() + 0.7 * sum(max(free_bits, value) for value in groups)
    assert FreeBits(D, free_bits, group)(trace, 0.7).loss.mean().item() == pytest.approx(expected, rel=1e-12)


def test_gradient_is_that_of_the_formula():
    """Autograd through the maximum itself, which has no terms of single examples."""
    gradients = []
    for by_hand in (False, True):
        vae = small_vae()
        trace = passed(vae)
        if by_hand:
            kl = trace.q.kl_per_dim(trace.p_z).mean(0)
            loss = -trace.p_x.log_prob(trace.x).mean() + torch.maximum(kl, torch.full_like(kl, 2.0)).sum()
        else:
            loss = FreeBits(D, 2.0)(trace).loss.mean()
        loss.backward()
        gradients.append([parameter.grad for parameter in vae.parameters()])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-13)


def test_below_the_floor_the_kl_has_no_pull():
    trace = passed()
    kl = trace.q.kl_per_dim(trace.p_z).mean(0).detach()
    floor = float(kl.median())
    terms = FreeBits(D, floor + 1e-9)(trace)
    pull = torch.autograd.grad((terms.loss - terms.reconstruction).mean(), trace.q.mu)[0].abs().sum(0)
    assert torch.equal(pull > 0, kl > floor)


def test_rate_on_record_is_the_whole_kl():
    trace = passed()
    torch.testing.assert_close(FreeBits(D, 9.0)(trace).rate_q, trace.q.kl(trace.p_z))
    assert FreeBits(D, 9.0)(trace).loss.shape == (3, B)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ((4, -0.1), "free_bits is -0.1"),
        ((4, float("nan")), "free_bits is nan"),
        ((4, float("inf")), "free_bits is inf"),
        ((4, 0.1, 3), "free_bits_group is 3, which does not divide the 4 latent dimensions"),
        ((4, 0.1, 0), "free_bits_group is 0"),
    ],
)
def test_bad_values_are_refused(arguments, what):
    with pytest.raises(InputError, match=what):
        FreeBits(*arguments)


def test_a_prior_without_a_closed_form_is_refused_with_what_to_use_instead():
    with pytest.raises(InputError, match=r"DiagGaussian and Opaque do not give; use target-rate"):
        FreeBits(D, 0.1)(passed(small_vae(prior=LearnedPrior(opaque=True))))
    FreeBits(D, 0.1)(passed(small_vae(prior=LearnedPrior(opaque=False))))
