"""pythae's BaseTrainer, with its own VAE around networks of our sizes."""

import logging
import tempfile
from itertools import pairwise
from typing import Any

import torch
from pythae.data.datasets import BaseDataset, DatasetOutput
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor, nn

from contenders import FEATURES, HIDDEN, LATENT_DIM, Images, Pause

__all__ = ["run"]


def _layers(*widths: int) -> list[nn.Module]:
    return [layer for n, m in pairwise(widths) for layer in (nn.Linear(n, m), nn.ReLU())]


class _Encoder(BaseEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_layers(FEATURES, *HIDDEN))
        self.embedding = nn.Linear(HIDDEN[-1], LATENT_DIM)
        self.log_var = nn.Linear(HIDDEN[-1], LATENT_DIM)

    def forward(self, x: Tensor) -> ModelOutput:
        h = self.layers(x)
        return ModelOutput(embedding=self.embedding(h), log_covariance=self.log_var(h))


class _Decoder(BaseDecoder):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_layers(LATENT_DIM, *HIDDEN), nn.Linear(HIDDEN[-1], FEATURES), nn.Sigmoid())

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z))


class _Stochastic(BaseDataset):
    """Grey values in, a fresh binarisation out each time an example is read."""

    def __getitem__(self, index: int) -> DatasetOutput:
        return DatasetOutput(data=torch.bernoulli(self.data[index]), labels=self.labels[index])


class _PauseEachEpoch(TrainingCallback):
    def __init__(self, pause: Pause) -> None:
        self.pause = pause

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        self.pause()


def run(images: Images, batch_size: int, pause: Pause, stochastic: bool = False) -> None:
    """Train; one pause an epoch.

    Args:
        images: uint8 [N, 784].
        batch_size: Examples a step.
        pause: Called between epochs.
        stochastic: Binarise afresh each time an example is read, as ours does; else once, beforehand: quicker.
    """
    logging.getLogger("pythae").setLevel(logging.ERROR)
    grey, labels = torch.from_numpy(images).float() / 255, torch.zeros(len(images))
    data = _Stochastic(grey, labels) if stochastic else BaseDataset((grey > 0.5).float(), labels)
    config = VAEConfig(input_dim=(FEATURES,), latent_dim=LATENT_DIM, reconstruction_loss="bce")
    with tempfile.TemporaryDirectory() as folder:
        options = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=10**6,
            per_device_train_batch_size=batch_size,
            learning_rate=1e-3,
            no_cuda=True,
        )
        model = VAE(config, encoder=_Encoder(), decoder=_Decoder())
        trainer = BaseTrainer(model, data, training_config=options, callbacks=[_PauseEachEpoch(pause)])
        pause()
        trainer.train()
