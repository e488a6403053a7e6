"""The VAE of Pyro's own tutorial, with and without an EqualizedNormal, and its training on digits."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

pytest.importorskip("pyro", reason="pyro is an extra")

import pyro
from pyro import distributions as dist
from pyro import infer, poutine

from lambda_vae.integrations.pyro import EqualizedNormal


class PyroVAE(nn.Module):
    """The VAE of Pyro's own tutorial."""

    def __init__(self, latent_dim=4, features=64, prior=None):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(features, 128), nn.ReLU(), nn.Linear(128, 2 * latent_dim))
        self.decoder = nn.Sequential(nn.Linear(latent_dim, 128), nn.ReLU(), nn.Linear(128, features))
        self.latent_dim, self.prior, self.scale = latent_dim, prior, 1.0

    def encode(self, x):
        mu, logvar = self.encoder(x).chunk(2, dim=-1)
        return mu, torch.exp(0.5 * logvar)

    def model(self, x):
        pyro.module("decoder", self.decoder)
        with pyro.plate("data", len(x)):
            with poutine.scale(scale=self.scale):
                prior = self.prior or dist.Normal(torch.zeros(self.latent_dim), 1.0).to_event(1)
                z = pyro.sample("latent", prior)
            pyro.sample("obs", dist.Bernoulli(logits=self.decoder(z)).to_event(1), obs=x)

    def guide(self, x):
        pyro.module("encoder", self.encoder)
        with pyro.plate("data", len(x)), poutine.scale(scale=self.scale):
            mu, std = self.encode(x)
            pyro.sample("latent", dist.Normal(mu, std).to_event(1))


class Written(PyroVAE):
    """With an EqualizedNormal written into its guide."""

    exponent = 2.0

    def guide(self, x):
        pyro.module("encoder", self.encoder)
        with pyro.plate("data", len(x)):
            pyro.sample("latent", EqualizedNormal(*self.encode(x), self.exponent).to_event(1))


def digits():
    return (torch.tensor(load_digits().data) > 7).float()


def built(kind=PyroVAE, loss=None, lr=2e-3, **more):
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    vae = kind(**more)
    return vae, infer.SVI(vae.model, vae.guide, pyro.optim.Adam({"lr": lr}), loss or infer.TraceMeanField_ELBO())


def trained(svi, epochs=3, equalizer=None, n=256, batch=64):
    pyro.set_rng_seed(1)
    losses = []
    for _ in range(epochs):
        for x in digits()[:n][torch.randperm(n)].split(batch):
            losses.append(svi.step(x))
        if equalizer is not None:
            equalizer.end_epoch()
    return losses
