"""Cached decoding equals the naive one, on trained weights, at every pixel."""

from collections.abc import Callable
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lambda_vae.distributions.causal import Pick
from lambda_vae.networks import ContextMaps, ImageShape, PixelCNN, PixelCNNSizes, decode_pixels


def striped(shape: ImageShape, count: int = 16) -> Tensor:
    """Images of stripes, so that there is something to learn of the pixels before: [N, F] of 0 and 1."""
    generator = torch.Generator().manual_seed(2)
    phase = torch.randint(0, 3, (count, 1, 1, 1), generator=generator)
    i, j = torch.arange(shape.height)[:, None, None], torch.arange(shape.width)[:, None]
    return ((i + j + torch.arange(shape.channels) + phase) % 3 == 0).float().flatten(1)


@cache
def trained(channels: int, rows: bool) -> tuple[PixelCNN, Tensor, Tensor]:
    """A network after some steps on stripes, with images and contexts."""
    torch.manual_seed(0)
    shape = ImageShape(channels, 6, 7)
    network = PixelCNN(shape, PixelCNNSizes(8, 3), channels, rows=rows)
    decoder, x = ContextMaps(4, shape, 8), striped(shape)
    z = torch.randn(len(x), 4, generator=torch.Generator().manual_seed(3))
    optimizer = torch.optim.Adam([*network.parameters(), *decoder.parameters()], lr=1e-2)
    target = x if rows else shape.to_maps(x)
    losses = []
    for _ in range(60):
        loss = F.binary_cross_entropy_with_logits(network(x, decoder(z)), target)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
    return network, x, decoder(z).detach()


@pytest.mark.parametrize("rows", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
def test_cached_theta_is_the_whole_network_s_at_every_pixel(channels: int, rows: bool) -> None:
    """The images are dictated, so both look at the same pixels."""
    network, x, context = trained(channels, rows)
    dictated, seen = iter(x.view(len(x), -1, channels).unbind(1)), []

    def pick(theta: Tensor) -> Tensor:
        seen.append(theta)
        return next(dictated)

    assert torch.equal(decode_pixels(network, context, pick), x)
    theta = network(x, context)
    whole = theta.view(len(x), -1, channels) if rows else theta.flatten(2).transpose(1, 2)
    assert (torch.stack(seen, 1) - whole).abs().max() < 1e-5
    assert whole.abs().max() > 1


@torch.no_grad()
def naive(network: PixelCNN, context: Tensor, pick: Pick) -> Tensor:
    """The whole network for every pixel."""
    channels = network.shape.channels
    x = torch.zeros(len(context), network.shape.features)
    for at in range(0, network.shape.features, channels):
        x[:, at : at + channels] = pick(network(x, context)[:, at : at + channels])
    return x


def by_chance() -> Pick:
    generator = torch.Generator().manual_seed(5)
    return lambda theta: torch.bernoulli(theta.sigmoid(), generator=generator)


def greedily() -> Pick:
    return lambda theta: (theta > 0).float()


@pytest.mark.parametrize("choice", [greedily, by_chance])
@pytest.mark.parametrize("channels", [1, 3])
def test_cached_images_are_the_naive_ones(channels: int, choice: Callable[[], Pick]) -> None:
    network, _, context = trained(channels, True)
    images = decode_pixels(network, context, choice())
    assert torch.equal(images, naive(network, context, choice()))
    assert 0 < images.mean() < 1


def test_images_of_a_batch_do_not_meet() -> None:
    network, _, context = trained(1, True)
    whole = decode_pixels(network, context, torch.sigmoid)
    torch.testing.assert_close(decode_pixels(network, context[4:5], torch.sigmoid), whole[4:5])


def test_progress_is_told_row_by_row_and_no_gradient_is_kept() -> None:
    network, _, context = trained(1, True)
    told: list[tuple[int, int]] = []
    images = decode_pixels(network, context[:1], torch.sigmoid, lambda *done: told.append(done))
    assert told == [(row, 6) for row in range(1, 7)]
    assert not images.requires_grad
