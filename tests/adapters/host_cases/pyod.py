"""pyod's VAE as the contract asks it."""

import contextlib

import numpy as np
import torch
from host_contract import HostCase
from pyod.models.vae import VAE

from lambda_vae.integrations.pyod import diagnose_pyod, equalize_pyod

rng = np.random.default_rng(0)
X = rng.normal(size=(130, 3)) @ rng.normal(size=(3, 6)) * 5.0 + 2.0 + 0.1 * rng.normal(size=(130, 6))


def fitted(delta=None, x=X, **options):
    settings = {"verbose": 0, "epoch_num": 4, "latent_dim": 3, "capacity": 1e9, "beta": 0.01, "dropout_rate": 0.0}
    model = VAE(random_state=0, **(settings | options))
    with contextlib.nullcontext() if delta is None else equalize_pyod(model, delta):
        model.fit(x)
    return model


def train(delta):
    return {name: value.clone() for name, value in fitted(delta).model.state_dict().items()}


def kl():
    model = fitted()
    x = torch.tensor((X - model.X_mean) / model.X_std).float()
    with torch.no_grad():
        out, mu, logvar = model.model(x)
        own = [model.criterion(x, out, mu, logvar, beta=beta, capacity=1e9) for beta in (0.0, 1.0)]
    return diagnose_pyod(model, X, iw_samples=2).rate, float(own[1] - own[0])


def planted():
    model = fitted(epoch_num=40)
    with torch.no_grad():
        for layer in (model.model.encoder_mu, model.model.encoder_logvar):
            layer.weight[1] = layer.bias[1] = 0.0
    return diagnose_pyod(model, X, iw_samples=2), {1}


CASE = HostCase(
    train=train,
    kl=kl,
    planted=planted,
    refused={
        r"is not fitted; call model.fit": lambda: diagnose_pyod(VAE(verbose=0), X),
        r"a Linear; give pyod.models.vae.VAE": lambda: equalize_pyod(torch.nn.Linear(2, 2), 1.1),
        r"shape \[130, 5\]; give an array \[N, 6\]": lambda: diagnose_pyod(fitted(), X[:, :5]),
        r"x has 20 rows, of which pyod trains on whole batches of 32": lambda: fitted(1.1, X[:20]),
        r"delta is 1.0": lambda: fitted(1.0),
    },
)
