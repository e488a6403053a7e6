"""pythae as the contract asks it: its VAE, by its own trainer, on random images."""

import tempfile

import torch
from adapters.hosts.pythae_digits import SHAPE, built, planted_model, trained
from host_contract import HostCase
from pythae import models
from pythae.data.datasets import DatasetOutput

from lambda_vae.integrations.pythae import diagnose_pythae, equalize_pythae

IMAGES = torch.rand(96, *SHAPE, generator=torch.Generator().manual_seed(0))


def train(delta):
    model = built(reconstruction_loss="mse")
    if delta is not None:
        equalize_pythae(model, delta)
    with tempfile.TemporaryDirectory() as folder:
        trained(model, IMAGES, folder)
    return {name: value for name, value in model.state_dict().items() if "equalizer" not in name}


def kl():
    model = built().eval()
    with torch.no_grad():
        hosts = float(model(DatasetOutput(data=IMAGES)).reg_loss)
    return diagnose_pythae(model, IMAGES).rate, hosts


def planted():
    model, x, truth = planted_model(["healthy", "dead", "healthy", "prior"])
    report = diagnose_pythae(model.eval(), x)
    return report, {k for k, label in enumerate(truth) if label == "collapsed"}


def blank(kind):
    """A model of a kind without its networks; what it is, is all that is looked at."""
    model = object.__new__(kind)
    torch.nn.Module.__init__(model)
    return model


CASE = HostCase(
    train=train,
    kl=kl,
    planted=planted,
    refused={
        "VAMP cannot be diagnosed: its KL to a learned prior": lambda: diagnose_pythae(blank(models.VAMP), IMAGES),
        "BetaTCVAE cannot be equalized: .* use pythae's models.BetaVAE": lambda: equalize_pythae(
            blank(models.BetaTCVAE), 1.1
        ),
        "delta is 0.9": lambda: equalize_pythae(built(), 0.9),
    },
)
