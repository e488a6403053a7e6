"""pythae's own models under its own trainers: bit for bit theirs at lambda = 1, diagnosed, equalized and watched."""

import copy
import importlib
import logging
import math
import sys

import pytest
import torch
from adapters.planted import NOISE, Planted
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader

from lambda_vae.equalization.theory import sampling_std
from lambda_vae.errors import InputError

pytest.importorskip("pythae")

from pythae import models, trainers
from pythae.data.datasets import BaseDataset, DatasetOutput, collate_dataset_output
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers.training_callbacks import TrainingCallback, rename_logs

from lambda_vae.adapters.hosts import pythae as host
from lambda_vae.adapters.hosts.pythae import CollapseCallback, diagnose_pythae, equalize_pythae

SHAPE = (1, 8, 8)

#: Every model with a KL in closed form, with the trainer that pythae has for it.
SAFE = {
    models.VAE: (models.VAEConfig, trainers.BaseTrainer, trainers.BaseTrainerConfig),
    models.BetaVAE: (models.BetaVAEConfig, trainers.BaseTrainer, trainers.BaseTrainerConfig),
    models.DisentangledBetaVAE: (models.DisentangledBetaVAEConfig, trainers.BaseTrainer, trainers.BaseTrainerConfig),
    models.INFOVAE_MMD: (models.INFOVAE_MMD_Config, trainers.BaseTrainer, trainers.BaseTrainerConfig),
    models.FactorVAE: (models.FactorVAEConfig, trainers.AdversarialTrainer, trainers.AdversarialTrainerConfig),
    models.MSSSIM_VAE: (models.MSSSIM_VAEConfig, trainers.BaseTrainer, trainers.BaseTrainerConfig),
    models.VAEGAN: (
        models.VAEGANConfig,
        trainers.CoupledOptimizerAdversarialTrainer,
        trainers.CoupledOptimizerAdversarialTrainerConfig,
    ),
}

REFUSED = {
    models.BetaTCVAE: r"densities of q at the drawn z; use pythae's models.BetaVAE or models.FactorVAE instead",
    models.VAMP: r"learned prior is an estimate from samples; use pythae's models.VAE",
    models.IWAE: r"importance weights .* models.VAE",
    models.MIWAE: r"importance weights .* models.VAE",
    models.CIWAE: r"importance weights .* models.VAE",
    models.PIWAE: r"importance weights .* models.VAE",
    models.VAE_IAF: r"a flow follows .* models.VAE",
    models.VAE_LinNF: r"a flow follows .* models.VAE",
    models.HVAE: r"Hamiltonian steps .* models.VAE",
    models.RHVAE: r"Hamiltonian steps .* models.VAE",
    models.AE: r"a point and no posterior; use pythae's models.VAE",
    models.RAE_GP: r"a point and no posterior",
    models.RAE_L2: r"a point and no posterior",
    models.VQVAE: r"a point and no posterior",
    models.WAE_MMD: r"a point and no posterior; use pythae's models.INFOVAE_MMD",
    models.Adversarial_AE: r"has no KL.* models.INFOVAE_MMD",
    models.SVAE: r"on a sphere",
    models.PoincareVAE: r"hyperbolic",
}

#: Refused an equalizer, and diagnosed all the same.
MEASURED = (models.BetaTCVAE, models.IWAE, models.MIWAE, models.CIWAE, models.PIWAE)


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def digits():
    return (torch.tensor(load_digits().data) > 7).float().view(-1, *SHAPE)


def dataset(x):
    return BaseDataset(x, torch.zeros(len(x)))


def built(kind=models.VAE, latent_dim=4, seed=0, **config):
    torch.manual_seed(seed)
    return kind(SAFE[kind][0](input_dim=SHAPE, latent_dim=latent_dim, **{"reconstruction_loss": "bce"} | config))


def trained(model, x, folder, callbacks=None, epochs=3, test_x=None, **config):
    """The trainer after training `model` on x."""
    _, trainer, config_of = SAFE[type(model)]
    config = config_of(
        output_dir=str(folder),
        num_epochs=epochs,
        per_device_train_batch_size=config.pop("batch_size", 32),
        per_device_eval_batch_size=500,
        no_cuda=True,
        **config,
    )
    done = trainer(model, dataset(x), None if test_x is None else dataset(test_x), config, callbacks)
    done.train()
    return done


def assert_same_weights(one, other):
    one, other = one.state_dict(), other.state_dict()
    assert list(one) == list(other)
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


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


class Encoder(BaseEncoder):
    def __init__(self, planted, scale):
        super().__init__()
        self.gain = torch.nn.Parameter(planted.gain.T * scale)
        self.logvar = torch.nn.Parameter(planted.logvar.clone())

    def forward(self, x):
        return ModelOutput(embedding=x @ self.gain, log_covariance=self.logvar.expand(len(x), -1))


class Decoder(BaseDecoder):
    def __init__(self, planted, scale):
        super().__init__()
        self.weights = torch.nn.Parameter(planted.weights.T / scale)

    def forward(self, z):
        return ModelOutput(reconstruction=z @ self.weights)


def planted_model(kinds):
    """A VAE of pythae with a unit-variance Gaussian, whose dimensions are what `kinds` says, and its data."""
    planted = Planted(kinds)
    config = models.VAEConfig(input_dim=planted.x.shape[1:], latent_dim=len(kinds), reconstruction_loss="mse")
    model = models.VAE(config, encoder=Encoder(planted, NOISE), decoder=Decoder(planted, NOISE))
    return model, planted.x / NOISE, planted.truth


def test_planted_dimensions_are_found_and_mse_is_a_gaussian_of_variance_one():
    model, x, truth = planted_model(["healthy", "dead", "prior", "sharp"] * 4)
    report = diagnose_pythae(model.eval(), x, iw_samples=50)
    assert report.verdicts == truth
    assert report.causes == [None, "no signal", "gradient imbalance", None] * 4
    with torch.no_grad():
        loss = sum(model(DatasetOutput(data=x)).loss.item() for _ in range(50)) / 50
    constant = 0.5 * x.shape[1] * math.log(2 * math.pi)  # which pythae's loss leaves out, and its get_nll does not
    assert report.nll_bound == pytest.approx(loss + constant, rel=1e-3)
    few, n = diagnose_pythae(model, x[:50], iw_samples=200), 200
    assert few.best_importance.nll.value == pytest.approx(-model.get_nll(x[:50], n, n), rel=2e-2)


def test_a_custom_decoder_is_saved_while_it_is_watched(tmp_path):
    model, x, _ = planted_model(["healthy", "dead"])
    equalize_pythae(model, delta=1.1)
    trainer = trained(model, x[:64], tmp_path, [CollapseCallback(every=1)], epochs=2, steps_saving=1)
    pickled = (tmp_path / trainer.training_dir / "checkpoint_epoch_1" / "decoder.pkl").read_bytes()
    assert b"lambda_vae" not in pickled
    models.VAE.load_from_folder(f"{trainer.training_dir}/final_model")


@pytest.mark.parametrize("kind", SAFE, ids=lambda kind: kind.__name__)
def test_every_safe_model_is_diagnosed_and_bce_is_a_bernoulli(kind, digits):
    model = built(kind).eval()
    report = diagnose_pythae(model, digits[:200], iw_samples=1)
    with torch.no_grad():
        q = model.encoder(digits[:200])
        std = torch.exp(0.5 * q.log_covariance)
        draws = [model.decoder(q.embedding + std * torch.randn(200, 4)) for _ in range(20)]
        law = [torch.distributions.Bernoulli(draw.reconstruction).log_prob(digits[:200]).sum() / 200 for draw in draws]
    assert report.reconstruction == pytest.approx(-float(sum(law)) / 20, rel=1e-3)
    trained_on_other = kind in (models.MSSSIM_VAE, models.VAEGAN)
    assert any("is no likelihood" in note for note in report.notes) == trained_on_other
    assert report.residual is not None


def test_data_are_a_tensor_a_dataset_or_a_loader(digits):
    model = built().eval()
    data = dataset(digits[:60])
    loader = DataLoader(data, batch_size=25, collate_fn=collate_dataset_output)
    bounds = [diagnose_pythae(model, d, iw_samples=1, batch_size=25).nll_bound for d in (digits[:60], data, loader)]
    assert bounds[0] == bounds[1] == bounds[2]
    with pytest.raises(InputError, match="gone through only once"):
        diagnose_pythae(model, iter(loader))
    with pytest.raises(InputError, match=r"in train mode.*model\.eval\(\)"):
        diagnose_pythae(model.train(), data)


def test_of_an_equalized_model_the_noise_it_was_trained_with_is_measured(digits):
    model = built().eval()
    equalize_pythae(model, delta=1.1).exponent.fill_(3.0)
    report = diagnose_pythae(model, digits[:100], iw_samples=1)
    assert bool((report.exponent == 3).all())
    assert report.excess_kl > 0
    assert diagnose_pythae(model, digits[:100], iw_samples=1, equalizer=None).excess_kl == 0


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
    assert not isinstance(model._sample_gauss, host._Watched)
    assert not isinstance(trainer._best_model._sample_gauss, host._Watched)
    assert trainer._best_model._sample_gauss.__self__ is trainer._best_model
    trained(model, digits[:64], tmp_path, [callback], epochs=1)
    assert len(callback.history["epochs"]) == 1


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


def blank(kind):
    """A model of a kind without its networks; what it is, is all that is looked at."""
    model = object.__new__(kind)
    torch.nn.Module.__init__(model)
    return model


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.__name__)
def test_what_is_not_lambda_vaes_is_refused_by_name(kind, digits, tmp_path):
    with pytest.raises(InputError, match=rf"^{kind.__name__} cannot be equalized: .*{REFUSED[kind]}"):
        equalize_pythae(blank(kind), delta=1.1)
    with pytest.raises(InputError, match=rf"^{kind.__name__} cannot be watched: "):
        CollapseCallback().on_train_begin(None, model=blank(kind))
    if kind not in MEASURED:
        with pytest.raises(InputError, match=rf"^{kind.__name__} cannot be diagnosed: .*{REFUSED[kind]}"):
            diagnose_pythae(blank(kind), digits)


def test_models_with_a_gaussian_q_are_measured_though_not_equalized(digits):
    for kind in MEASURED:
        torch.manual_seed(0)
        config = getattr(models, f"{kind.__name__}Config")
        model = kind(config(input_dim=SHAPE, latent_dim=4, reconstruction_loss="bce")).eval()
        assert len(diagnose_pythae(model, digits[:50], iw_samples=1).verdicts) == 4


def test_every_model_of_pythae_is_known():
    kinds = {kind for name, kind in vars(models).items() if name in models.__all__ and "onfig" not in name}
    assert kinds - {models.BaseAE, models.AutoModel} == set(SAFE) | set(REFUSED)


def test_what_pythae_does_not_know_is_refused_with_the_way_round():
    class Mine(models.VAE):
        pass

    with pytest.raises(InputError, match=r"^Mine cannot be equalized: it is none of .*VAEGAN; .*adapters\.equalize\("):
        equalize_pythae(blank(Mine), delta=1.1)
    with pytest.raises(InputError, match=r"^Linear cannot be diagnosed: .*adapters\.diagnose\(encode, log_likelihood"):
        diagnose_pythae(torch.nn.Linear(2, 2), torch.zeros(3, 2))
    with pytest.raises(InputError, match=r"^VAEGAN cannot be watched: two of its losses .* diagnose_pythae after"):
        CollapseCallback().on_train_begin(None, model=blank(models.VAEGAN))
    model = built()
    equalize_pythae(model, delta=1.1)
    with pytest.raises(InputError, match="VAE is equalized already"):
        equalize_pythae(model, delta=1.1)


def test_without_pythae_there_is_one_sentence(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "pythae"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, host.__name__)
    with pytest.raises(InputError, match=r"^pythae is not installed; pip install 'lambda-vae\[pythae\]'$"):
        importlib.import_module(host.__name__)
