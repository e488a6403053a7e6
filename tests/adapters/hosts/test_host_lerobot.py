"""diagnose_lerobot and equalize_lerobot: what lerobot's loss stands for with padding, and what is left as it was."""

import math

import pytest
import torch

pytest.importorskip("lerobot", reason="lerobot is not installed")

from host_cases.lerobot import ACTIONS, LATENTS, STEPS, act, batches, own

from lambda_vae.integrations.lerobot import diagnose_lerobot, equalize_lerobot

pytestmark = pytest.mark.filterwarnings("default")


def whole(rows=64):
    return batches(rows, rows)


def test_the_bound_is_the_loss_itself_over_the_numbers_that_are_no_padding():
    policy, data = act(kl_weight=0.3), whole()
    found = diagnose_lerobot(policy, data, iw_samples=2)
    numbers = float((~data[0]["action_is_pad"]).sum()) * ACTIONS / 64
    policy.eval()
    policy.model.training = True  # it draws and encodes, without dropout
    with torch.no_grad():
        loss = torch.stack([policy(data[0])[0] for _ in range(200)]).mean()
    scale = 0.3 * numbers
    assert numbers < STEPS * ACTIONS
    assert found.nll_bound == pytest.approx(float(loss) / 0.3 + numbers * math.log(2.0 * scale), abs=0.02)
    assert any(f"a mean over {numbers:g} numbers" in note for note in found.notes)


def test_what_stands_in_the_padding_is_not_looked_at():
    policy, data = act(), whole()
    changed = [{**data[0], "action": data[0]["action"] + 7.0 * data[0]["action_is_pad"][..., None]}]
    one, other = (diagnose_lerobot(policy, some, iw_samples=2) for some in (data, changed))
    assert one.nll_bound == other.nll_bound


def test_a_policy_in_train_mode_is_measured_without_dropout_and_left_in_it():
    policy, data = act().train(), batches()
    before = torch.get_rng_state()
    found = diagnose_lerobot(policy, data, iw_samples=2)
    assert all(module.training for module in policy.modules())
    assert torch.equal(before, torch.get_rng_state())
    policy.eval()
    assert diagnose_lerobot(policy, data, iw_samples=2).rate == found.rate
    assert not any(module.training for module in policy.modules())
    assert found.rate == pytest.approx(sum(loss["kld_loss"] for loss in own(policy)) / 2, rel=1e-4)


def test_the_action_that_is_taken_is_the_same_with_and_without_an_equalizer():
    policy, data = act(), batches()
    policy.train()
    equalizer = equalize_lerobot(policy, 1.01, steps_per_epoch=1)
    for batch in data * 3:
        policy(batch)
    assert equalizer.exponent.shape == (LATENTS,)
    assert bool((equalizer.exponent > 1.0).all())
    taken = policy.predict_action_chunk(data[0])
    equalizer.remove()
    assert torch.equal(taken, policy.predict_action_chunk(data[0]))


def test_images_are_seen_by_the_decoder():
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.act.modeling_act import ACTPolicy

    policy = act(pretrained_backbone_weights=None)
    policy.config.input_features["observation.images.top"] = PolicyFeature(FeatureType.VISUAL, (3, 32, 32))
    torch.manual_seed(1)
    policy = ACTPolicy(policy.config)
    data = [{**batch, "observation.images.top": torch.rand(16, 3, 32, 32)} for batch in batches(32, 16)]
    found = diagnose_lerobot(policy, data, iw_samples=2)
    assert math.isfinite(found.nll_bound)
    with pytest.raises(Exception, match=r"a batch has no 'observation.images.top'"):
        diagnose_lerobot(policy, batches(), iw_samples=2)
