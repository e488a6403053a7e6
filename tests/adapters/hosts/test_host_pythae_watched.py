"""pythae's trainings watched: what trackers and loggers get, and what the monitor leaves as it was."""

import logging

import pytest
import torch

pytest.importorskip("pythae")

from adapters.hosts.pythae_digits import built, trained
from pythae import models
from pythae.trainers.training_callbacks import TrainingCallback, rename_logs

from lambda_vae.integrations import pythae as host
from lambda_vae.integrations.pythae import CollapseCallback

pytestmark = pytest.mark.usefixtures("quiet")


class Tracker(TrainingCallback):
    def __init__(self):
        self.rows = []

    def on_log(self, training_config, logs, **event):
        self.rows.append(rename_logs(logs))


def test_trackers_get_the_measures_and_the_logger_the_warnings(digits, tmp_path, caplog):
    model, tracker, callback = built(), Tracker(), CollapseCallback(every=1, horizon=1000.0)
    logging.disable(logging.NOTSET)
    with caplog.at_level(logging.WARNING):
        trained(model, digits[:100], tmp_path, [callback, tracker], epochs=8, learning_rate=1e-2)
    assert len(tracker.rows) == len(callback.monitor.readings) == 8
    for row, reading in zip(tracker.rows, callback.monitor.readings, strict=True):
        assert row["train/latent/active_units"] == reading.active_units
        assert row["train/latent/kl"] == pytest.approx(float(reading.kl.sum()))
        assert "train/epoch_loss" in row
    told = [record.getMessage() for record in caplog.records if record.name.startswith("pythae.trainers.base")]
    assert [text for text in told if "dimension" in text] == [str(warning) for warning in callback.monitor.warnings]
    assert callback.monitor.warnings


def test_the_monitor_reads_the_decoders_gradient_alone(digits, tmp_path):
    """FactorVAE's discriminator pulls at z as well; with its weight a million, the reading is what it was."""
    ratios = []
    for gamma in (0.0, 1e6):
        model, callback = built(models.FactorVAE, gamma=gamma), CollapseCallback(every=1)
        trained(model, digits[:64], tmp_path, [callback], epochs=1, batch_size=64)
        ratios.append(callback.monitor.readings[0].gradient_ratio)
    assert torch.equal(*ratios)
    assert bool((ratios[0] != 0).all())


def test_after_training_the_model_draws_as_it_did_and_copies_are_not_watched(digits, tmp_path):
    model, callback = built(), CollapseCallback()
    trainer = trained(model, digits[:64], tmp_path, [callback])
    for one in (model, trainer._best_model):
        assert not isinstance(one.forward, host._Watched)
        assert one.forward.__self__ is one
        assert not [part for part in one.modules() if part._forward_hooks or part._forward_pre_hooks]
    trained(model, digits[:64], tmp_path, [callback], epochs=1)
    assert len(callback.history["epochs"]) == 1


@pytest.mark.parametrize(
    ("kind", "config", "weights"),
    [
        (models.BetaVAE, {"beta": 3.0}, [3.0, 3.0]),
        (models.INFOVAE_MMD, {"alpha": 0.25}, [0.75, 0.75]),
        (models.DisentangledBetaVAE, {"beta": 3.0, "C": 500.0}, [0.0, 0.0]),
        (models.DisentangledBetaVAE, {"beta": 3.0, "C": 0.0}, [0.0, 3.0]),
    ],
)
def test_causes_are_judged_by_the_weight_of_the_kl(kind, config, weights, digits, tmp_path):
    callback = CollapseCallback(every=1)
    trained(built(kind, **config), digits[:64], tmp_path, [callback], epochs=2)
    assert callback.history["kl_weight"] == weights
