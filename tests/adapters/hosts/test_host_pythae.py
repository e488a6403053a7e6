"""pythae's own models under its own trainers: bit for bit theirs at lambda = 1, equalized, saved and cured."""

import copy
import logging
import math
import pickle

import pytest
import torch

from lambda_vae.equalization.theory import sampling_std

pytest.importorskip("pythae")

from adapters.hosts.pythae_digits import SAFE, assert_same_weights, built, planted_model, trained
from pythae import models
from pythae.data.datasets import DatasetOutput

from lambda_vae.integrations.pythae import CollapseCallback, diagnose_pythae, equalize_pythae

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.mark.parametrize("kind", SAFE, ids=lambda kind: kind.__name__)
def test_with_delta_infinite_a_training_is_pythaes_bit_for_bit(kind, digits, tmp_path):
    plain, model = built(kind), built(kind)
    equalizer = equalize_pythae(model, delta=math.inf)
    callbacks = None if kind is models.VAEGAN else [CollapseCallback(every=1)]
    x, test_x = digits[:100], digits[100:150]
    trained(plain, x, tmp_path, test_x=test_x)
    trained(model, x, tmp_path, callbacks, test_x=test_x)
    assert int(equalizer.epoch) == 3
    assert_same_weights(plain, model)
    assert not torch.equal(plain.encoder.log_var.weight, built(kind).encoder.log_var.weight)


def test_with_lambda_z_is_narrower_and_the_kl_the_models_own(digits):
    plain, model = built(), built()
    equalizer = equalize_pythae(model, delta=1.1)
    equalizer.exponent.copy_(torch.tensor([1.0, 2.0, 5.0, 20.0]))
    outputs = []
    for one in (plain, model):
        torch.manual_seed(1)
        outputs.append(one(DatasetOutput(data=digits[:500])))
    q = plain.encoder(digits[:500])
    std = torch.exp(0.5 * q.log_covariance)
    expected = sampling_std(std, equalizer.exponent) / std
    assert torch.allclose(outputs[1].z - q.embedding, (outputs[0].z - q.embedding) * expected, atol=1e-5)
    assert bool((expected[:, 1:] < 1).any())
    assert torch.equal(outputs[0].reg_loss, outputs[1].reg_loss)
    assert outputs[0].recon_loss != outputs[1].recon_loss


def test_lambda_is_refreshed_by_every_trainer_and_eval_mode_is_the_models_own(digits, tmp_path):
    for kind in (models.VAE, models.FactorVAE, models.VAEGAN):
        model = built(kind)
        equalizer = equalize_pythae(model, delta=1.01, refresh_every=1)
        trained(model, digits[:100], tmp_path, epochs=2)
        assert int(equalizer.epoch) == 2
        assert bool((equalizer.exponent > 1).all())
        plain = built(kind, seed=1)
        plain.load_state_dict(model.state_dict())
        zs = []
        for one in (plain, model):
            torch.manual_seed(2)
            zs.append(one.eval()(DatasetOutput(data=digits[:50])).z)
        assert torch.equal(*zs)


def test_get_nll_is_of_q_in_train_mode_too_and_is_not_observed(digits):
    plain, model = built().train(), built().train()
    equalizer = equalize_pythae(model, delta=1.1)
    equalizer.exponent.fill_(5.0)
    values = []
    for one in (plain, model):
        torch.manual_seed(3)
        values.append(one.get_nll(digits[:5], n_samples=4, batch_size=4))
        assert one.get_nll(digits[:5], n_samples=4, batch_size=4) != values[-1]  # it draws
    assert values[0] == values[1]
    assert float(equalizer._seen.sum()) == 0.0
    assert equalizer.training


@pytest.mark.parametrize("delta", [1.01, math.inf])
def test_the_trainers_files_load_as_an_ordinary_model(delta, digits, tmp_path):
    model = built()
    equalizer = equalize_pythae(model, delta=delta)
    trainer = trained(model, digits[:100], tmp_path, [CollapseCallback()], steps_saving=2)
    for part in ("final_model", "checkpoint_epoch_2"):
        loaded = models.AutoModel.load_from_folder(f"{trainer.training_dir}/{part}")
        assert type(loaded) is models.VAE
        assert not hasattr(loaded, "equalizer")
    model.save(str(tmp_path / "mine"))
    loaded = models.VAE.load_from_folder(str(tmp_path / "mine"))
    assert_same_weights(loaded, model)
    model.load_state_dict(loaded.state_dict())  # and the other way
    equalize_pythae(loaded, delta=delta).load_state_dict(equalizer.state_dict())  # to go on with
    assert torch.equal(loaded.equalizer.exponent, equalizer.exponent)
    with pytest.raises(RuntimeError, match=r"Missing key\(s\) in state_dict: \"encoder"):
        model.load_state_dict({k: v for k, v in model.state_dict().items() if "log_var" not in k})


def test_a_custom_decoder_is_saved_while_it_is_watched(tmp_path):
    model, x, _ = planted_model(["healthy", "dead"])
    equalize_pythae(model, delta=1.1)
    trainer = trained(model, x[:64], tmp_path, [CollapseCallback(every=1)], epochs=2, steps_saving=1)
    pickled = (tmp_path / trainer.training_dir / "checkpoint_epoch_1" / "decoder.pkl").read_bytes()
    assert b"lambda_vae" not in pickled
    models.VAE.load_from_folder(f"{trainer.training_dir}/final_model")


#: At this rate the dimensions of pythae's VAE that are worth the least die within the training.
CURE = {"epochs": 60, "batch_size": 100, "learning_rate": 1e-2}


@pytest.fixture(scope="module")
def collapsed(digits, tmp_path_factory):
    """pythae's VAE after a training in which most dimensions die, its callback, and its report."""
    logging.disable(logging.WARNING)
    model, callback = built(latent_dim=16), CollapseCallback(every=4)
    trained(model, digits[:1400], tmp_path_factory.mktemp("plain"), [callback], **CURE)
    return model, callback, diagnose_pythae(model.eval(), digits[1400:], iw_samples=1, history=callback.history)


def test_the_report_says_that_pythaes_vae_collapses_and_why(collapsed):
    _, callback, report = collapsed
    assert report.active_units <= 12
    assert report.judged_from_history
    dead = [i for i, verdict in enumerate(report.verdicts) if verdict == "collapsed"]
    assert all(report.causes[i] is not None for i in dead)
    assert {warning.dimension for warning in callback.monitor.warnings if warning.kind == "collapsed"}


def test_one_line_gives_more_active_units(collapsed, digits, tmp_path):
    model = built(latent_dim=16)
    equalizer = equalize_pythae(model, delta=1.2, release_epochs=30, total_epochs=CURE["epochs"])
    trained(model, digits[:1400], tmp_path, **CURE)
    cured = diagnose_pythae(model.eval(), digits[1400:], iw_samples=1)
    assert bool((equalizer.exponent == 1).all())  # released
    assert cured.excess_kl == 0
    assert cured.active_units >= max(14, collapsed[2].active_units + 4)


@pytest.mark.parametrize("kind", SAFE, ids=lambda kind: kind.__name__)
def test_removed_the_model_is_pythaes_own_as_is_a_pickled_ones(kind, digits, tmp_path):
    plain, model = built(kind), built(kind)
    attributes = set(vars(model))
    equalizer = equalize_pythae(model, delta=1.01)
    twin = pickle.loads(pickle.dumps(model))
    assert twin.equalizer is not equalizer
    for one in (model, twin):
        one.equalizer.remove()
        assert set(vars(one)) == attributes
        assert not hasattr(one, "equalizer")
        assert one.update.__func__ is kind.update
        assert one.get_nll.__func__ is kind.get_nll
    trained(plain, digits[:64], tmp_path, epochs=1)
    trained(model, digits[:64], tmp_path, epochs=1)
    assert_same_weights(plain, model)
    assert int(equalizer.epoch) == 0


def test_a_copy_of_an_equalized_model_has_an_equalizer_of_its_own(digits):
    model = built()
    equalize_pythae(model, delta=1.01)
    twin = copy.deepcopy(model)
    for _ in range(2):
        twin(DatasetOutput(data=digits[:20]))
        twin.update()
    assert int(model.equalizer.epoch) == 0
    assert float(model.equalizer._seen.sum()) == 0.0
    assert float(twin.equalizer.exponent.min()) > 1.0
