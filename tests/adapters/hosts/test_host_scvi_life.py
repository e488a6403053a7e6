"""The life of an equalized SCVI: found again, given back, trained twice, stopped, and drawn from several times."""

import copy

import pytest
import torch

pytest.importorskip("scvi", reason="scvi-tools is not installed")

from adapters.hosts.scvi_iid import QUIET, model_of, quiet_scvi, synthetic, train  # noqa: F401 - a fixture
from lightning.pytorch import Callback

from lambda_vae.integrations.scvi import equalize_scvi

pytestmark = QUIET


@pytest.fixture(scope="module")
def iid():
    return synthetic()


def test_a_second_call_finds_the_first_and_removed_the_model_is_scvis_own(iid):
    plain, model = model_of(iid), model_of(iid)
    runner = model._train_runner_cls
    before = {name: (set(vars(part)), dict(part._forward_hooks)) for name, part in model.module.named_modules()}
    equalizer = equalize_scvi(model, delta=1.01, refresh_every=1)
    assert equalize_scvi(model, delta=1.01, refresh_every=1) is equalizer is model.module.equalizer
    twin = copy.deepcopy(model)
    for one in (model, twin):
        one.module.equalizer.remove()
        assert not hasattr(one.module, "equalizer")
        assert one._train_runner_cls is runner
        assert "_train_runner_cls" not in vars(one)
        after = {name: (set(vars(part)), dict(part._forward_hooks)) for name, part in one.module.named_modules()}
        assert after == before
    train(plain, epochs=2)
    train(model, epochs=2)
    states = plain.module.state_dict(), model.module.state_dict()
    assert all(torch.equal(a, b) for a, b in zip(*(state.values() for state in states), strict=True))
    assert int(equalizer.epoch) == 0


def test_where_scvi_draws_several_samples_a_cell_it_draws_from_q_in_train_mode_too(iid):
    plain, model = train(model_of(iid), epochs=1), train(model_of(iid), epochs=1)
    equalizer = equalize_scvi(model, delta=1.1)
    equalizer.exponent.fill_(5.0)
    tensors = next(iter(model._make_data_loader(iid)))
    draws = []
    for one in (plain, model):
        module = one.module.train()
        torch.manual_seed(4)
        draws.append(module.inference(**module._get_inference_input(tensors), n_samples=3)["z"])
        torch.manual_seed(4)
        draws.append(module.inference(**module._get_inference_input(tensors))["z"])
    assert draws[0].shape[0] == 3
    assert torch.equal(draws[0], draws[2])
    assert not torch.allclose(draws[1], draws[3])  # and of one sample a cell, narrow noise


def test_a_second_training_in_eval_mode_is_narrowed_in_its_steps_and_not_in_validation(iid):
    model = train(model_of(iid), epochs=1)
    equalizer = equalize_scvi(model, delta=1.01, refresh_every=1)
    seen = []
    (site,) = equalizer.sites
    site.watch(lambda mu, std, z, exponent: seen.append((len(mu), torch.is_grad_enabled())) or z)
    train(model, epochs=2, check_val_every_n_epoch=1)
    assert not model.module.z_encoder.training
    assert [count for count, _ in seen] == [len(model.train_indices)] * 2
    assert all(with_gradient for _, with_gradient in seen)
    assert float(equalizer.exponent.min()) > 1.0
    before = len(seen)
    model.get_elbo()
    assert len(seen) == before


class Stopped(Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        raise RuntimeError("stopped")


def test_a_second_training_that_fails_leaves_lambda_off(iid):
    model = train(model_of(iid), epochs=1)
    equalizer = equalize_scvi(model, delta=1.1)
    with pytest.raises(RuntimeError, match="stopped"):
        train(model, epochs=1, callbacks=[Stopped()])
    assert not any(part.training for part in model.module.modules())
    assert float(equalizer._seen.sum()) > 0.0
