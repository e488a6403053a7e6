"""pythae's models, small, and how its own trainers train them on digits and on planted cases."""

import pytest
import torch
from adapters.planted import NOISE, Planted

pytest.importorskip("pythae")

from pythae import models, trainers
from pythae.data.datasets import BaseDataset
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder

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
