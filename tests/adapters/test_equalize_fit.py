"""`equalize_fit`: what a package makes and trains within its `fit`, its batches counted when `fit` is called."""

import math

import pytest
import torch
from torch import nn

from lambda_vae.equalizing import equalize_fit
from lambda_vae.errors import InputError, require_within


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


def test_another_package_in_the_block_is_refused_before_it_could_be_taken_for_this_one():
    first, second = Package(), Package()
    with pytest.raises(InputError, match="this Package was not fitted within its block, another was"):
        with equalize_fit(first, batches, Network, 2, 1.1):
            second.fit(X)
    with pytest.raises(InputError, match="another Package was fitted within this block before"):
        with equalize_fit(first, batches, Network, 2, 1.1):
            _ = second.fit(X), first.fit(X)
    with pytest.raises(InputError, match="nothing was; call its `fit` in the block"):
        with equalize_fit(first, batches, Network, 2, 1.1):
            pass


def test_a_second_fit_in_the_block_is_refused_since_its_network_would_have_no_lambda():
    package = Package()
    with pytest.raises(InputError, match="this Package was fitted within this block before"):
        with equalize_fit(package, batches, Network, 2, 1.1):
            _ = package.fit(X), package.fit(X)
    assert "fit" not in vars(package)


def test_a_block_within_a_block_of_the_same_class_is_refused_before_training():
    one, other = Package(), Package()
    with pytest.raises(InputError, match="Network is equalized by another block that is still open"):
        with equalize_fit(one, batches, Network, 2, 1.1), equalize_fit(other, batches, Network, 2, 1.2):
            pass
    with equalize_fit(one, batches, Network, 2, 1.1):  # nothing of it is left
        one.fit(X)


@pytest.mark.parametrize("value", ["1.1", None])
def test_a_setting_that_is_no_number_is_one_sentence(value):
    with pytest.raises(InputError, match=r"delta is .*; it must be a number, greater than 1"):
        require_within("delta", value, lambda one: one > 1, "greater than 1")
