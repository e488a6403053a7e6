"""One method for two latents, in calls of their own, as cornac's BiVAE has it for users and items."""

import math

import pytest
import torch
from torch import nn

from lambda_vae.equalizing import equalize
from lambda_vae.errors import InputError


class InTurn(nn.Module):
    """Users half an epoch, then items."""

    def __init__(self, apart: float) -> None:
        super().__init__()
        self.user, self.item, self.apart = nn.Linear(6, 4), nn.Linear(6, 4), apart

    def reparameterize(self, mu, std):
        return mu + std * torch.randn_like(mu)

    def forward(self, x, user=True):
        if user:
            mu, raw = self.user(x).chunk(2, dim=1)
            return self.reparameterize(mu, torch.sigmoid(raw))
        mu, raw = self.item(x).chunk(2, dim=1)
        return self.reparameterize(mu, torch.sigmoid(raw - self.apart))


def trained(model):
    for _ in range(4):
        for user in (True, False):
            for _ in range(5):
                model(torch.randn(64, 6), user)


@pytest.mark.parametrize(
    ("draw", "remedy"),
    [
        (None, r"equalize\(..., draw=0\), equalize\(..., draw=1\)"),
        (0, r"both are draw=0 of a call, so each needs z = "),
    ],
)
def test_two_latents_in_turn_are_refused_with_what_helps(draw, remedy):
    torch.manual_seed(0)
    model = InTurn(3.0)
    equalize(model, 2, 1.1, steps_per_epoch=10, draw=draw)
    with pytest.raises(InputError, match=rf"InTurn.reparameterize draws two latents in one step: .*{remedy}"):
        trained(model)


@pytest.mark.parametrize("draw", [None, 0])
def test_two_lines_that_draw_alike_are_one_latent(draw):
    torch.manual_seed(0)
    model = InTurn(0.0)
    equalizer = equalize(model, 2, 1.1, steps_per_epoch=10, draw=draw)
    trained(model)
    assert equalizer.delta < math.inf
    assert bool((equalizer.exponent > 1).any())
