"""The target rate: |KL - C| of the batch, C along the schedule."""

import pytest
import torch
from small_scene import EXPONENT, LearnedPrior, passed, small_vae
from torch.distributions import Normal, kl_divergence

from lambda_vae.errors import InputError
from lambda_vae.objectives import ELBO, TargetRate


@pytest.mark.parametrize("exponent", [None, EXPONENT])
@pytest.mark.parametrize("kl_weight", [0.0, 0.3, 1.0])
def test_gamma_one_and_target_zero_are_the_elbo_bit_for_bit(exponent, kl_weight):
    """At every moment of the schedule, which has nothing to move."""
    trace = passed(small_vae(torch.float32), exponent)
    assert torch.equal(TargetRate(0.0, 1.0)(trace, kl_weight).loss, ELBO()(trace).loss)


@pytest.mark.parametrize("target", [0.5, 30.0])
@pytest.mark.parametrize("kl_weight", [0.25, 1.0])
def test_mean_loss_is_the_formula_by_hand(target, kl_weight):
    trace = passed()
    kl = float(kl_divergence(Normal(trace.q.mu, trace.q.std), Normal(0.0, 1.0)).sum(-1).detach().mean())
    expected = float(-trace.p_x.log_prob(trace.x).detach().mean()) + 7.0 * abs(kl - kl_weight * target)
    assert float(TargetRate(target, 7.0)(trace, kl_weight).loss.detach().mean()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("target", "sign"), [(0.5, 1.0), (30.0, -1.0)])
def test_gradient_pushes_the_kl_towards_the_target_from_either_side(target, sign):
    trace = passed()
    terms = TargetRate(target, 7.0)(trace)
    pull = torch.autograd.grad((terms.loss - terms.reconstruction).mean(), trace.q.mu, retain_graph=True)[0]
    of_kl = torch.autograd.grad(trace.q.kl(trace.p_z).mean(), trace.q.mu)[0]
    torch.testing.assert_close(pull, sign * 7.0 * of_kl)


def test_examples_on_both_sides_of_the_target_are_pushed_the_same_way():
    trace = passed()
    kl = trace.q.kl(trace.p_z)
    target = float(kl.detach().mean()) + 1e-3
    assert (kl < target).any()
    assert (kl > target).any()
    torch.testing.assert_close(TargetRate(target, 2.0)(trace).loss, -trace.p_x.log_prob(trace.x) - 2.0 * (kl - target))


def test_a_monte_carlo_kl_gives_the_distance_of_its_mean():
    """With many samples the loss is that of the closed form; the mean of single distances would be larger."""
    closed, drawn = (passed(small_vae(prior=LearnedPrior(opaque=opaque)), samples=20_000) for opaque in (False, True))
    kl = ELBO()(drawn).rate_q
    assert kl.shape == (20_000, len(drawn.x))
    target = float(ELBO()(closed).rate_q.detach().mean())
    stderr = float(kl.detach().mean(1).std()) / 20_000**0.5
    distance = TargetRate(target, 1.0)(drawn)
    assert 0 <= float((distance.loss - distance.reconstruction).detach().mean()) < 4 * stderr
    assert float((kl - target).detach().abs().mean()) > 100 * stderr


@pytest.mark.parametrize(
    ("arguments", "what"),
    [((-1.0, 1.0), "target_rate is -1"), ((1.0, float("nan")), "target_gamma is nan"), ((float("inf"), 1.0), "inf")],
)
def test_bad_values_are_refused(arguments, what):
    with pytest.raises(InputError, match=what):
        TargetRate(*arguments)
