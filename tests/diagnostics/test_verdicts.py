import math
from dataclasses import replace

import pytest
import torch

from lambda_vae.diagnostics.dimension import Cause, DimensionState, Label, Thresholds, Verdict
from lambda_vae.diagnostics.explain import summary
from lambda_vae.diagnostics.residual import ResidualSignal
from lambda_vae.diagnostics.sharpness import scale_cost, sharpness_cost
from lambda_vae.diagnostics.verdict import verdicts

NOTHING_LEFT = ResidualSignal((), 1.1, 1.3)


def room_for(directions):
    return ResidualSignal((4.0,) * directions, 4.0, 1.3)


def healthy(information=8.0):
    """A dimension of the exact linear-Gaussian posterior."""
    std = (1 / (1 + information)) ** 0.5
    return DimensionState(1 - std**2, std, 1.0, information**0.5, gradient=-information * std)


def dead(gradient=-0.01):
    """What MNIST's dead dimensions look like after training, or with a little more or less demand."""
    return DimensionState(0.0015, 0.99, 0.97, 0.3, gradient=gradient)


#: Encoder and decoder at work, KL term twice as strong as the reconstruction.
OUTWEIGHED = DimensionState(0.006, 0.6, 0.5, 0.6, gradient=-0.5)
#: Encoder and decoder at work, forces in balance, the signal far below what the decoder reacts to.
DROWNED = DimensionState(0.006, 0.95, 1.0, 0.6, gradient=-0.3)
#: Encoder and decoder at work, forces in balance, supply as large as demand: going down together.
FADING = DimensionState(0.08, 0.94, 0.99, 0.8, gradient=-0.11)


def one(state, residual=None, history=None):
    return verdicts([state], residual, None if history is None else [history])[0]


@pytest.mark.parametrize("information", [0.02, 0.5, 8.0, 200.0])
def test_healthy_dimension_is_active(information):
    verdict = one(healthy(information), NOTHING_LEFT)
    assert (verdict.label, verdict.cause) == (Label.ACTIVE, None)


def test_threshold_itself_is_collapsed():
    assert one(DimensionState(0.01, 1.0, 1.0, 0.5)).label is Label.COLLAPSED
    assert one(DimensionState(0.0101, 0.995, 1.0, 0.1)).label is Label.ACTIVE


@pytest.mark.parametrize(
    ("state", "residual", "cause"),
    [
        (dead(), NOTHING_LEFT, Cause.NO_SIGNAL),
        (dead(), room_for(1), Cause.IMBALANCE),
        (dead(), None, Cause.UNDETERMINED),
        # one side alone is no evidence of anything in the data
        (replace(dead(), signal_power=0.008), None, Cause.UNDETERMINED),
        (dead(gradient=-0.5), None, Cause.UNDETERMINED),
        (OUTWEIGHED, None, Cause.IMBALANCE),
        (OUTWEIGHED, room_for(1), Cause.IMBALANCE),
        # at work on what the data do not hold
        (OUTWEIGHED, NOTHING_LEFT, Cause.NO_SIGNAL),
        (DROWNED, NOTHING_LEFT, Cause.NO_SIGNAL),
        (DROWNED, None, Cause.GAP),
        (DROWNED, room_for(3), Cause.GAP),
        # the decoder reacts, the encoder sends nothing
        (replace(DROWNED, signal_power=1e-6), NOTHING_LEFT, Cause.NO_SIGNAL),
        (replace(DROWNED, signal_power=1e-6), room_for(1), Cause.IMBALANCE),
        # sigma is 1, so the KL term pulls at nothing and the ratio is 0/0 or x/0
        (replace(DROWNED, sampling_std=1.0, ratio=math.inf), None, Cause.GAP),
        (replace(DROWNED, sampling_std=1.0, ratio=math.nan), None, Cause.GAP),
        # hardly any noise: whatever keeps the signal small, it is not noise
        (replace(DROWNED, sampling_std=0.05, gradient=-0.05), None, Cause.IMBALANCE),
        # below 0.9, but by less than its error
        (replace(DROWNED, ratio=0.8), None, Cause.IMBALANCE),
        (replace(DROWNED, ratio=0.8, ratio_stderr=0.1), None, Cause.GAP),
        # a KL weight of 0.1 pulls a tenth as hard, one of 4 four times
        (replace(DROWNED, ratio=0.1, kl_weight=0.1), None, Cause.GAP),
        (replace(DROWNED, ratio=1.0, kl_weight=4.0), None, Cause.IMBALANCE),
        # at KL weight 0 nothing pulls
        (replace(DROWNED, ratio=0.0, kl_weight=0.0), None, Cause.GAP),
        (replace(dead(), kl_weight=0.0), room_for(1), Cause.UNDETERMINED),
    ],
)
def test_cause_of_a_collapse(state, residual, cause):
    verdict = one(state, residual)
    assert (verdict.label, verdict.cause) == (Label.COLLAPSED, cause)
    assert cause in verdict.explanation


def test_history_tells_the_cause_of_a_silent_dimension():
    start = replace(healthy(), epoch=1)
    for moment, cause in ((OUTWEIGHED, Cause.IMBALANCE), (DROWNED, Cause.GAP), (FADING, Cause.IMBALANCE)):
        verdict = one(dead(), room_for(1), [start, replace(moment, epoch=7), replace(dead(), epoch=8)])
        assert verdict.cause is cause
        assert "epoch 7" in verdict.explanation


def test_last_moment_at_work_decides_not_the_first():
    start = replace(healthy(), epoch=1)
    early, late = replace(DROWNED, epoch=3), replace(OUTWEIGHED, epoch=8)
    assert one(dead(), room_for(1), [start, early, late]).cause is Cause.IMBALANCE
    assert one(dead(), room_for(1), [start, replace(late, epoch=3), replace(early, epoch=8)]).cause is Cause.GAP


def test_sentences_on_an_imbalance_fit_their_case():
    past = [replace(healthy(), epoch=1), replace(FADING, epoch=9), dead()]
    assert "up to epoch 9" in one(dead(), room_for(1), past).explanation
    assert "faded together" in one(dead(), room_for(1), past).explanation
    assert "0.50 times as hard" in one(OUTWEIGHED).explanation
    assert "0.25 times as hard" in one(replace(DROWNED, kl_weight=4.0)).explanation
    assert "has vanished" in one(dead(), room_for(1)).explanation
    assert "too weakly" in one(replace(DROWNED, sampling_std=0.05, gradient=-0.05)).explanation
    assert "its KL is not charged" in one(replace(dead(), kl_weight=0.0), room_for(1)).explanation


def test_first_epoch_is_the_random_start_and_proves_nothing():
    start = replace(healthy(), epoch=1)
    assert one(dead(), None, [start, dead()]).cause is Cause.UNDETERMINED
    assert one(dead(), None, [start, OUTWEIGHED, dead()]).cause is Cause.IMBALANCE


def test_what_others_carry_is_no_signal_even_if_it_was_active_once():
    past = [healthy(), healthy(), healthy()]
    assert one(dead(), NOTHING_LEFT, past).cause is Cause.NO_SIGNAL


def test_directions_left_are_shared_out_once():
    states = [healthy(), dead(-0.02), dead(-0.09), dead(-0.03), DROWNED]
    found = verdicts(states, room_for(2))
    # one direction is the drowned dimension's own, the other goes to the silent one with most demand
    assert [verdict.cause for verdict in found] == [None, Cause.NO_SIGNAL, Cause.IMBALANCE, Cause.NO_SIGNAL, Cause.GAP]


def test_half_collapsed_counts_right():
    found = verdicts([healthy()] * 5 + [dead()] * 5, NOTHING_LEFT)
    assert sum(verdict.label is Label.ACTIVE for verdict in found) == 5
    assert sum(verdict.cause is Cause.NO_SIGNAL for verdict in found) == 5
    assert summary(found) == "5 of 10 dimensions are in use; 5 collapsed (5 no signal)."


@pytest.mark.parametrize("field", ["signal_power", "sampling_std", "decoder_capacity", "mean", "gradient"])
def test_nan_in_gives_no_verdict(field):
    values = {"signal_power": 0.9, "sampling_std": 0.3, "ratio": 1.0, "decoder_capacity": 2.0, "gradient": -2.0}
    verdict = one(DimensionState(**{**values, field: math.nan}), NOTHING_LEFT)
    assert (verdict.label, verdict.cause) == (Label.NOT_MEASURED, None)
    assert "could not be measured" in summary([verdict])


def test_without_gradients_a_dimension_is_judged_by_its_mean_alone():
    silent = {"decoder_capacity": math.nan, "gradient": math.nan, "ratio": math.nan, "differentiated": False}
    active = one(DimensionState(**{"signal_power": 0.9, "sampling_std": 0.1, **silent}), NOTHING_LEFT)
    assert (active.label, active.cause) == (Label.ACTIVE, None)
    assert "was not measured" in active.explanation
    dead = one(DimensionState(**{"signal_power": 0.001, "sampling_std": 1.0, **silent}))
    assert (dead.label, dead.cause) == (Label.COLLAPSED, Cause.UNDETERMINED)


def test_over_sharp_is_said_of_noise_and_not_of_scale():
    narrow = one(DimensionState(0.9, 0.1, 0.2, 2.0, gradient=-0.9))
    assert (narrow.label, narrow.cause) == (Label.OVER_SHARP, None)
    assert "nats" in narrow.explanation
    wide = DimensionState(9.0, 0.5, 1.0, 2.0, gradient=-1.5)
    shifted = DimensionState(0.75, 0.5, 1.0, 2.0, mean=2.0, gradient=-1.5)
    fixed_noise = DimensionState(50.0, 1.0, 1.0, 2.0, gradient=-1.0)
    for state in (wide, shifted, fixed_noise):
        verdict = one(state)
        assert verdict.label is Label.ACTIVE
        assert f"costs {scale_cost(state):.2f} nats" in verdict.explanation
    assert "scale" not in one(healthy()).explanation


@pytest.mark.parametrize(
    ("variance", "kl_weight", "cause"),
    [
        (0.5, 1.0, Cause.NOISE),
        (0.99, 3.0, Cause.NOISE),
        (1.5, 3.0, Cause.IMBALANCE),
        (3.5, 3.0, Cause.IMBALANCE),
        # at a weight of 0.3 a direction of half the noise lives
        (0.5, 0.3, Cause.IMBALANCE),
        (0.2, 0.3, Cause.NOISE),
    ],
)
def test_a_direction_below_the_assumed_noise_is_decoder_noise(variance, kl_weight, cause):
    left = ResidualSignal((variance,), variance, 0.1, noise=0.05, noise_std=2.0)
    verdict = one(replace(dead(), kl_weight=kl_weight), left)
    assert verdict.cause is cause
    if cause is Cause.NOISE:
        assert f"has std {2 * variance**0.5:.3g}" in verdict.explanation
        assert f"below {2 * (variance / kl_weight) ** 0.5:.3g}" in verdict.explanation
        assert f"{2 * 0.05**0.5:.3g} fits" in verdict.explanation
    if 1.0 < variance <= kl_weight:
        assert "lives only at a KL weight below that" in verdict.explanation


def test_strongest_directions_go_first_and_one_a_site():
    left = ResidualSignal((5.0, 0.9, 0.8), 5.0, 0.1, noise=0.05)
    assert [verdict.cause for verdict in verdicts([dead()] * 4, left)] == [
        Cause.IMBALANCE,
        Cause.NOISE,
        Cause.NOISE,
        Cause.NO_SIGNAL,
    ]
    assert [verdict.cause for verdict in verdicts([dead()] * 3, left, sites=2)] == [
        Cause.IMBALANCE,
        Cause.NOISE,
        Cause.NO_SIGNAL,
    ]


def test_what_too_few_examples_could_hide_is_undetermined():
    few = replace(NOTHING_LEFT, unseen=1.1, examples=300, features=4000)
    verdict = one(dead(), few)
    assert verdict.cause is Cause.UNDETERMINED
    assert "300 examples of 4000 features one worth more than 0.5 nats could hide" in verdict.explanation
    assert one(dead(), replace(few, unseen=0.4)).cause is Cause.NO_SIGNAL


def test_a_constant_code_that_pays_is_named_with_its_nats():
    constant = DimensionState(0.0, 0.3, 0.0, 0.5, mean=2.0, kl=5.5)
    verdict = one(constant, NOTHING_LEFT)
    assert verdict.cause is Cause.NO_SIGNAL
    assert "pays 5.50 nats of KL for a code that is the same for every example" in verdict.explanation
    assert summary([verdict], [constant.kl]).endswith(
        "1 collapsed (1 no signal), and 1 of these pays 5.5 nats of KL for nothing."
    )
    assert "pays" not in one(dead(), NOTHING_LEFT).explanation


def test_over_sharp_gives_a_noisy_gradient_the_benefit_of_the_doubt():
    assert one(DimensionState(0.9, 0.1, 0.2, 2.0, gradient=-0.9, gradient_stderr=5.0)).label is Label.ACTIVE


@pytest.mark.parametrize("signal", [0.05, 0.9, 4.0])
@pytest.mark.parametrize("std", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("information", [0.5, 5.0, 50.0])
def test_sharpness_cost_is_what_the_bound_loses(signal, std, information):
    # the bound of one dimension with a linear decoder, up to terms that do not depend on scale a, shift and noise s
    def bound(mean, signal, var, information):
        return 0.5 * information * var + 0.5 * (mean**2 + signal + var - 1 - math.log(var))

    mean, var = 0.4, std**2
    total = signal + var
    before = bound(mean, signal, var, information)
    rescaled = bound(0.0, signal / total, var / total, information * total)
    best_var = min(1 / (1 + information * total), 1e9)
    best = bound(0.0, signal / total, max(var / total, best_var), information * total)
    state = DimensionState(signal, std, 1.0, 1.0, mean=mean, gradient=-information * std)
    assert rescaled <= before + 1e-12
    assert sharpness_cost(state) == pytest.approx(before - best, abs=1e-9)


def test_best_noise_minimises_the_bound_by_search():
    # a second witness for the best noise: torch finds it by Newton steps on the same bound
    information, signal = 5.0, 0.8
    log_var = torch.zeros((), dtype=torch.float64, requires_grad=True)
    for _ in range(50):
        value = 0.5 * information * log_var.exp() + 0.5 * (signal + log_var.exp() - 1 - log_var)
        (slope,) = torch.autograd.grad(value, log_var, create_graph=True)
        (curvature,) = torch.autograd.grad(slope, log_var)
        log_var = (log_var - slope / curvature).detach().requires_grad_()
    assert float(log_var.detach().exp()) == pytest.approx(1 / (1 + information))


def test_sharpness_of_nothing_is_infinite_and_of_nan_is_nan():
    assert sharpness_cost(DimensionState(0.0, 0.0, 1.0, 1.0)) == math.inf
    assert math.isnan(sharpness_cost(DimensionState(math.nan, 0.1, 1.0, 1.0)))


def test_active_dimension_that_the_decoder_ignores_is_named():
    ignored = DimensionState(0.2, 0.9, 0.0, 0.001)
    assert "does not react" in one(ignored).explanation
    # a curvature of 0.05 nats where the encoder sends a signal worth 0.25
    assert "does not react" in one(replace(ignored, gradient=-0.045)).explanation
    assert "does not react" not in one(replace(ignored, gradient=-0.18)).explanation
    assert "does not react" not in one(healthy()).explanation
    assert "does not react" not in one(healthy(0.02)).explanation


def test_thresholds_are_the_callers():
    strict = Thresholds(active=0.5)
    assert verdicts([healthy(0.5)], None, None, strict)[0].label is Label.COLLAPSED


def test_summary_speaks_of_all_labels():
    found = [Verdict(label, Cause.GAP if label is Label.COLLAPSED else None, "") for label in Label]
    text = summary(found)
    assert text == (
        "2 of 4 dimensions are in use, 1 of them under-dispersed; 1 collapsed (1 information gap); 1 could not be "
        "measured."
    )
