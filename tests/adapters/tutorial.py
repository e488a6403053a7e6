"""The VAE of every PyTorch tutorial, and a loop to train it, both without a line of ours."""

import torch
import torch.nn.functional as F
from torch import nn


class TutorialVAE(nn.Module):
    def __init__(self, latent_dim=4, features=8):
        super().__init__()
        self.hidden = nn.Linear(features, 16)
        self.mean, self.log = nn.Linear(16, latent_dim), nn.Linear(16, latent_dim)
        self.back, self.out = nn.Linear(latent_dim, 16), nn.Linear(16, features)

    def encode(self, x):
        h = F.relu(self.hidden(x))
        return self.mean(h), self.log(h)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def decode(self, z):
        return torch.sigmoid(self.out(F.relu(self.back(z))))

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


def loss_of(recon, x, mu, logvar):
    bce = F.binary_cross_entropy(recon, x, reduction="sum")
    return bce - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


def patterns(n=64, features=8):
    return (torch.rand(n, features, generator=torch.Generator().manual_seed(0)) < 0.4).float()


def trained(model, equalizer=None, epochs=4, seed=3):
    """The losses of a short training; chance as the host has it, from the global generator."""
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(epochs):
        for x in patterns().split(16):
            recon, mu, logvar = model(x)
            loss = loss_of(recon, x, mu, logvar)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        if equalizer is not None:
            equalizer.end_epoch()
    return losses
