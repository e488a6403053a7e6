"""Draws that are told apart: two latents in one line, the k-th of a call, the prior's, and a KL made of draws."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from lambda_vae.equalizing import equalize
from lambda_vae.errors import InputError

D, X = 3, 5


class TwoLatents(nn.Module):
    """Draws two latents by one part, or by one method, in one line."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.decoder = nn.Linear(X, 2 * D), nn.Linear(X, 2 * D), nn.Linear(2 * D, X)
        self.sampler = Sampler()

    def draw(self, mu: Tensor, logvar: Tensor) -> Tensor:
        return mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)

    def loss(self, x: Tensor, draw: Any) -> Tensor:
        a, b = self.first(x).chunk(2, -1), self.second(x).chunk(2, -1)
        z: Tensor = torch.cat([draw(*a), draw(b[0], b[1] - 3.0)], -1)
        return self.decoder(z).square().sum()  # type: ignore[no-any-return]

    def forward(self, x: Tensor, part: bool = False) -> Tensor:
        return self.loss(x, self.sampler if part else self.draw)


class Sampler(nn.Module):
    def forward(self, mu: Tensor, logvar: Tensor) -> Tensor:
        return mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)


def _train(model: nn.Module) -> None:
    for _ in range(4):
        model(torch.rand(200, X))


def test_two_draws_in_one_line_are_two_latents() -> None:
    model = TwoLatents()
    equalize(model, D, 1.1, method="draw")
    with pytest.raises(InputError, match="draws two latents in one step"):
        _train(model)


@pytest.mark.parametrize("part", [True, False])
def test_each_draw_of_a_call_is_observed_in_every_step(part: bool) -> None:
    model = TwoLatents()
    told = [equalize(model, D, 1.1, method="sampler" if part else "draw", draw=order) for order in (0, 1)]
    for _ in range(5):
        model(torch.rand(8, X), part)
    assert [int(one._seen[3][0]) for one in told] == [40, 40]
    assert float(told[1]._seen[0].sum()) < 0.5 * float(told[0]._seen[0].sum())
    for one in told:
        one.remove()
    assert not model._forward_hooks
    assert not model.sampler._forward_hooks


@pytest.mark.parametrize("part", [True, False])
def test_draws_are_counted_in_the_models_own_call_alone(part: bool) -> None:
    model = TwoLatents()
    equalize(model, D, 1.1, method="sampler" if part else "draw", draw=1)
    with pytest.raises(InputError, match="draws outside of TwoLatents's forward, within which draw=1 is counted"):
        model.loss(torch.rand(8, X), model.sampler if part else model.draw)


class Sampled(nn.Module):
    """Estimates its KL from the draw, or takes it in closed form."""

    closed = False

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(X, 2 * D), nn.Linear(D, X)

    def forward(self, x: Tensor) -> Tensor:
        mu, logvar = self.encoder(x).chunk(2, -1)
        q, p = Normal(mu, torch.exp(0.5 * logvar)), Normal(torch.zeros_like(mu), torch.ones_like(mu))
        z = q.rsample()
        prior = p.rsample()
        kl = kl_divergence(q, p) if self.closed else q.log_prob(z) - p.log_prob(z)
        return self.decoder(z) + self.decoder(prior) + kl.sum()  # type: ignore[no-any-return]


def test_a_kl_that_is_estimated_from_a_narrowed_draw_is_told() -> None:
    model = Sampled()
    equalizer = equalize(model, D, 1.1)
    model(torch.rand(8, X))
    equalizer.exponent = torch.full((D,), 3.0)
    assert equalizer.narrows
    with pytest.warns(UserWarning, match=r"ln q\(z\) is taken at the z that Normal.rsample in Sampled has narrowed"):
        model(torch.rand(8, X))
    model(torch.rand(8, X))  # once
    equalizer.remove()


def test_draws_from_the_prior_are_no_latent_and_a_kl_in_closed_form_is_left_alone() -> None:
    model = Sampled()
    model.closed = True
    equalizer = equalize(model, D, 1.1)
    model(torch.rand(8, X))
    equalizer.exponent = torch.full((D,), 3.0)
    assert equalizer.narrows
    model(torch.rand(8, X))
    assert int(equalizer._seen[3][0]) == 16
    equalizer.remove()
