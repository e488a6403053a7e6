"""Models that a package makes within its own `fit`: equalized from outside, once they train."""

import inspect
import math

import pytest
import torch
from torch import nn

from lambda_vae.equalizing import equalize_class
from lambda_vae.errors import InputError


class Network(nn.Module):
    """A VAE as packages have them, with a method that draws."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(6, 4), nn.Linear(2, 6)

    def reparameterize(self, mu, logvar):
        return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)

    def forward(self, x):
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        return self.decoder(self.reparameterize(mu, logvar - 2)), mu, logvar - 2


class Encoder(nn.Module):
    """Gives mu, sigma and ln sigma^2, as ctgan's does."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 4)

    def forward(self, x):
        mu, logvar = self.layer(x).chunk(2, dim=1)
        return mu, torch.exp(0.5 * (logvar - 2)), logvar - 2


class Decoder(nn.Linear):
    """Its z is drawn by whoever calls it; it has no __init__ of its own."""


class Trainer:
    """A package's estimator: what it trains is made in `fit`."""

    def __init__(self, inline=False, epochs=6, before=0):
        self.inline, self.epochs, self.before = inline, epochs, before

    def fit(self, x):
        torch.manual_seed(0)
        self.spare = [Network().eval() for _ in range(self.before)]
        self.parts = [Encoder(), Decoder(2, 6)] if self.inline else [Network()]
        optimizer = torch.optim.Adam([p for part in self.parts for p in part.parameters()], 1e-2)
        self.drawn = []
        for _ in range(self.epochs):
            for batch in x.split(250):
                if self.inline:
                    mu, std, logvar = self.parts[0](batch)
                    z = torch.randn_like(std) * std + mu
                    out = self.parts[1](z)
                else:
                    out, mu, logvar = self.parts[0](batch)
                kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(1).mean()
                optimizer.zero_grad()
                ((out - batch).square().sum(1).mean() + kl).backward()
                optimizer.step()
        self.under = getattr(self.parts[-1], "equalizer", None)
        return [p.detach().clone() for part in self.parts for p in part.parameters()]


def assert_given_back(host):
    for part in host.parts + host.spare:
        fresh = type(part)(*((2, 6) if isinstance(part, Decoder) else ()))
        assert vars(part).keys() == vars(fresh).keys()
        assert [*part.state_dict()] == [*fresh.state_dict()]
        assert not part._forward_hooks
        assert not part._forward_pre_hooks


@pytest.fixture
def x():
    return torch.randn(1000, 6, generator=torch.Generator().manual_seed(1))


WHERE = {"method": (Network, {}), "inline": (Decoder, {"posterior": Encoder})}


@pytest.mark.parametrize("way", WHERE)
def test_the_instance_that_trains_is_equalized_and_at_delta_inf_it_is_the_plain_run(x, way):
    kind, where = WHERE[way]
    plain = Trainer(way == "inline").fit(x)
    ends = {}
    for delta in (math.inf, 1.1):
        host = Trainer(way == "inline")
        with equalize_class(kind, 2, delta, steps_per_epoch=4, total_epochs=6, release_epochs=2, **where) as equalizer:
            ends[delta] = host.fit(x)
        assert len(equalizer.sites) == 1  # what was found can still be read
        assert host.under is equalizer
        assert_given_back(host)
        assert int(equalizer.epoch) >= 5
        assert bool((equalizer.exponent == 1).all())
        assert bool((equalizer.target_exponent > 1).all()) == (delta < math.inf)
    assert all(torch.equal(a, b) for a, b in zip(plain, ends[math.inf], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(plain, ends[1.1], strict=True))
    assert "__init__" not in vars(Decoder)
    assert not hasattr(Network(), "equalizer")


def test_the_first_that_trains_is_meant_not_the_first_that_is_made(x):
    host, takes = Trainer(before=2), inspect.signature(Network)
    with equalize_class(Network, 2, 1.1, steps_per_epoch=4) as equalizer:
        assert inspect.signature(Network) == takes
        host.fit(x)
    assert host.under is equalizer
    assert_given_back(host)


def test_a_second_that_trains_is_left_alone_and_said(x):
    host, second = Trainer(), Trainer()
    plain = Trainer().fit(x)
    with equalize_class(Network, 2, 1.1, steps_per_epoch=4) as equalizer:
        host.fit(x)
        with pytest.warns(UserWarning, match="a second Network trains; the first alone has lambda"):
            ends = second.fit(x)
    assert host.under is equalizer
    assert second.under is None
    assert all(torch.equal(a, b) for a, b in zip(plain, ends, strict=True))
    assert_given_back(second)


def test_nothing_trained_is_said_and_a_failing_fit_says_its_own():
    with pytest.raises(InputError, match=r"no Network trained within equalize_class, 1 were made"):
        with equalize_class(Network, 2, 1.1, steps_per_epoch=4):
            Network()
    with pytest.raises(ZeroDivisionError), equalize_class(Network, 2, 1.1, steps_per_epoch=4):
        1 / 0  # noqa: B018
    assert "reparameterize" not in vars(Network())
