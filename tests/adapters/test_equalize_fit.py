"""`equalize_fit`: what a package makes and trains within its `fit`, its batches counted when `fit` is called."""

import math

import pytest
import torch
from torch import nn

from lambda_vae.adapters import equalize_fit


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.head, self.decoder = nn.Linear(3, 4), nn.Linear(2, 3)

    def reparameterize(self, mu, logvar):
        return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)

    def forward(self, x):
        mu, logvar = self.head(x).chunk(2, -1)
        return self.decoder(self.reparameterize(mu, logvar - 1)), mu, logvar - 1


class Package:
    def fit(self, x, *, epochs=4, batch_size=10):
        torch.manual_seed(0)
        self.network = Network()
        optimizer = torch.optim.Adam(self.network.parameters(), 1e-2)
        for _ in range(epochs):
            for batch in x.split(batch_size):
                x_hat, mu, logvar = self.network(batch)
                loss = (x_hat - batch).square().sum() + 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return self

    def weights(self):
        return torch.cat([one.flatten() for one in self.network.parameters()])


def batches(x, *, epochs=4, batch_size=10):
    return -(-len(x) // batch_size)


X = torch.randn(30, 3, generator=torch.Generator().manual_seed(1))


def test_batches_are_counted_when_fit_is_called_and_fit_is_given_back():
    package = Package()
    with equalize_fit(package, batches, Network, 2, 1.1, total_epochs=4, release_epochs=1) as equalizer:
        package.fit(X, batch_size=6)
    assert equalizer.steps_per_epoch == 5
    assert int(equalizer.epoch) == 3  # the fourth would end with a further training step
    assert "fit" not in vars(package)
    assert not hasattr(package.network, "equalizer")


def test_delta_infinite_is_the_package_bit_for_bit_and_another_is_not():
    plain = Package().fit(X).weights()
    for delta, same in ((math.inf, True), (1.1, False)):
        package = Package()
        with equalize_fit(package, batches, Network, 2, delta):
            package.fit(X)
        assert torch.equal(package.weights(), plain) == same


def test_of_a_class_every_object_is_meant_and_the_class_is_given_back():
    own = Package.fit
    with equalize_fit(Package, lambda package, x, **more: batches(x, **more), Network, 2, 1.1) as equalizer:
        Package().fit(X)
    assert equalizer.steps_per_epoch == 3
    assert Package.fit is own


def test_fit_is_given_back_after_an_error():
    package = Package()
    with pytest.raises(TypeError), equalize_fit(package, batches, Network, 2, 1.1):
        package.fit("no tensor")
    assert "fit" not in vars(package)
