"""diagnose_torchrl and equalize_torchrl: what torchrl's loss stands for, and what is left as it was."""

import math

import pytest
import torch

pytest.importorskip("torchrl", reason="torchrl is not installed")

from host_cases.torchrl import ACTIONS, LATENTS, SEEN, STEPS, act, chunks
from tensordict import TensorDict
from tensordict.nn import TensorDictModule

from lambda_vae.integrations.torchrl import diagnose_torchrl, equalize_torchrl

pytestmark = pytest.mark.filterwarnings("default")

NUMBERS = STEPS * ACTIONS


def test_the_bound_is_the_loss_itself_at_the_scale_that_it_stands_for():
    model, loss = act(kl_weight=0.3)
    model.eval()
    found = diagnose_torchrl(loss, chunks(), iw_samples=2)
    with torch.no_grad():
        own = torch.stack([loss(chunks())["loss_act"] for _ in range(200)]).mean()
    scale = 0.3 * NUMBERS
    assert found.nll_bound == pytest.approx(float(own) * NUMBERS / scale + NUMBERS * math.log(2.0 * scale), abs=0.02)
    assert any("is 3 times the KL" in note and "Laplace scale of 3" in note for note in found.notes)


def test_a_model_in_train_mode_is_measured_without_dropout_and_left_in_it():
    (model, loss), data = act(), chunks()
    before = torch.get_rng_state()
    found = diagnose_torchrl(loss, data, iw_samples=2)
    assert all(module.training for module in model.modules())
    assert torch.equal(before, torch.get_rng_state())
    assert found.rate == diagnose_torchrl(loss, data, iw_samples=2).rate


def test_rows_of_any_batch_shape_and_of_several_tensordicts_are_the_same():
    _, loss = act()
    whole = diagnose_torchrl(loss, chunks(), iw_samples=2)
    for others in (chunks().reshape(8, 8), list(chunks().split(32))):
        assert diagnose_torchrl(loss, others, iw_samples=2).rate == pytest.approx(whole.rate, rel=1e-5)


def test_the_keys_that_the_loss_was_given_are_read():
    _, loss = act()
    loss.set_keys(action_chunk="moves")
    renamed = TensorDict({"observation": chunks()["observation"], "moves": chunks()["vla_action", "chunk"]}, [64])
    assert diagnose_torchrl(loss, renamed, iw_samples=2).rate > 0.0


@pytest.mark.parametrize("wrapped", ["model", "module", "loss"])
def test_whatever_wraps_the_model_is_equalized(wrapped):
    model, loss = act()
    keys = {"in_keys": ["observation", "action_chunk"], "out_keys": ["action_pred", "mu", "log_var"]}
    hosts = {"model": model, "module": TensorDictModule(model, **keys), "loss": loss}
    equalizer = equalize_torchrl(hosts[wrapped], 1.1, steps_per_epoch=1)
    model(torch.randn(4, SEEN), torch.randn(4, STEPS, ACTIONS))
    assert model.equalizer is equalizer
    assert "sigma is" in str(equalizer)
    assert equalizer.exponent.shape == (LATENTS,)
    equalizer.remove()


def test_evaluating_the_loss_leaves_its_network_in_train_mode():
    model, loss = act()
    loss.eval()
    assert model.training
