"""Hosts with batch norms: a draw measured between forward and backward shows neither in autograd nor in statistics."""

import math

import pytest
import torch
from torch import nn

from lambda_vae.equalizing import equalize


class Plain(nn.Module):
    """Batch norms before and after a draw by a method, as in convolutional VAEs."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))
        self.norm = nn.BatchNorm1d(2, affine=False)
        self.decoder = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6))

    def reparameterize(self, mu, logvar):
        return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)

    def encode(self, x):
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        return self.norm(mu), logvar - 2

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decoder(self.reparameterize(mu, logvar))


class Static(Plain):
    """As in contextualized-topic-models."""

    @staticmethod
    def reparameterize(mu, logvar):
        return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)


class Within(Plain):
    """The method that draws holds the batch norm."""

    def reparameterize(self, mu, logvar):
        return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu), self.norm(mu)

    def encode(self, x):
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        return mu, logvar - 2

    def forward(self, x):
        z, normed = self.reparameterize(*self.encode(x))
        return self.decoder(z + 0.0 * normed)


class Drawn(nn.Module):
    """An encoder with a batch norm whose output holds z."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 4))

    def forward(self, x):
        mu, logvar = self.layers(x).chunk(2, dim=1)
        std = torch.exp(0.5 * (logvar - 2))
        return mu, std, mu + std * torch.randn_like(mu)


class Twice(nn.Module):
    """An encoder called twice a step: the first call waits for its backward while the second is measured."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Drawn(), nn.Linear(2, 6)

    def forward(self, x):
        return self.decoder(self.encoder(x)[2]) + self.decoder(self.encoder(x.flip(0))[2]).flip(0)


def trained(kind, delta, where):
    torch.manual_seed(0)
    model = kind()
    if delta is not None:
        equalize(model, 2, delta, steps_per_epoch=3, **where)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(9):
        x = torch.randn(20, 6)
        optimizer.zero_grad()
        (model(x) - x).square().sum().backward()
        optimizer.step()
    return [value for name, value in model.state_dict().items() if "equalizer" not in name]


@pytest.mark.parametrize(("kind", "where"), [(Plain, {}), (Static, {}), (Within, {}), (Twice, {"at": "encoder"})])
def test_a_host_with_batch_norms_trains_and_at_delta_inf_as_ever(kind, where):
    plain, same, other = (trained(kind, delta, where) for delta in (None, math.inf, 1.1))
    assert all(torch.equal(a, b) for a, b in zip(plain, same, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(plain, other, strict=True))
