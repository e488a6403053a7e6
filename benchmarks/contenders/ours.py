"""lambda-vae's own training loop, as `lambda-vae train` calls it."""

from typing import Any

import torch

from contenders import HIDDEN, LATENT_DIM, Images, Pause
from lambda_vae.data import view_train
from lambda_vae.distributions import LIKELIHOODS
from lambda_vae.equalization import VarianceEqualizer
from lambda_vae.model import VAE
from lambda_vae.networks import mlp
from lambda_vae.objectives import ELBO
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import StandardNormalPrior
from lambda_vae.training import Trainer, TrainOptions

__all__ = ["run"]


def run(images: Images, batch_size: int, pause: Pause, delta: float | None = None, **options: Any) -> None:
    """Train; one pause an epoch.

    Args:
        images: uint8 [N, 784].
        batch_size: Examples a step.
        pause: Called between epochs.
        delta: lambda-VAE's knob; None trains the plain VAE.
        options: Fields of `TrainOptions`.
    """
    torch.manual_seed(0)
    features = images.shape[1]
    vae = VAE(
        mlp(features, HIDDEN),
        GaussianPosterior(HIDDEN[-1], LATENT_DIM),
        StandardNormalPrior(LATENT_DIM),
        mlp(LATENT_DIM, HIDDEN, features),
        LIKELIHOODS["bernoulli"](features),
    )

    def epoch_ended(*_: object) -> None:
        pause()

    trainer = Trainer(
        vae,
        ELBO(),
        torch.from_numpy(images),
        lambda x, index, generator: view_train(x, index, "stochastic", generator),
        TrainOptions(epochs=10**6, batch_size=batch_size, **options),
        equalizer=None if delta is None else VarianceEqualizer(LATENT_DIM, delta),
        listeners=[epoch_ended],
    )
    pause()
    trainer.fit()
