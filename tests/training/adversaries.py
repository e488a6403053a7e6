"""The small trainer with a classifier in place of its KL: the adversarial autoencoder, and adversarial Bayes."""

from pathlib import Path
from typing import Any

import torch
from small import LATENT, trainer, vae

from lambda_vae.model import VAE
from lambda_vae.objectives import BetaELBO
from lambda_vae.posteriors import ImplicitPosterior
from lambda_vae.training import AdversarialAutoencoder, AdversarialBayes, Trainer

HIDDEN, RATE = (8,), 1e-2


def implicit() -> VAE:
    model = vae()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model.posterior = ImplicitPosterior(8, LATENT, 2, width=8)
    return model


def aae(folder: Path | None = None, weight: float = 10.0, **settings: Any) -> Trainer:
    strategy = AdversarialAutoencoder(weight, HIDDEN, RATE)
    return trainer(folder, objective=BetaELBO(0.0), strategy=strategy, **settings)


def avb(folder: Path | None = None, adaptive: bool = True, **settings: Any) -> Trainer:
    strategy = AdversarialBayes(HIDDEN, RATE, adaptive_contrast=adaptive)
    return trainer(folder, model=implicit(), objective=BetaELBO(0.0), strategy=strategy, **settings)


MAKERS = {"aae": aae, "avb": avb, "avb, plain contrast": lambda *a, **k: avb(*a, adaptive=False, **k)}
