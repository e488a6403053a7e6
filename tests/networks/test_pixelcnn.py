"""The PixelCNN: no pixel sees itself or a later one, every earlier one in reach is seen, z is heard."""

import pytest
import torch
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.networks import ContextMaps, ImageShape, PixelCNN, PixelCNNSizes

SIZES = PixelCNNSizes(8, 3)


def small(shape: ImageShape, maps: int = 2) -> tuple[PixelCNN, Tensor, Tensor]:
    """A network with the context and the images of three points."""
    generator = torch.Generator().manual_seed(1)
    context = ContextMaps(4, shape, SIZES.width)(torch.randn(3, 4, generator=generator)).detach()
    return PixelCNN(shape, SIZES, maps, rows=False), torch.rand(3, shape.features, generator=generator), context


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [28, 32, 64])
def test_shapes(size: int, channels: int) -> None:
    shape = ImageShape(channels, size, size)
    network, x, context = small(shape, 5)
    assert context.shape == (3, 8, size // 4, size // 4)
    assert network(x, context).shape == (3, 5, size, size)
    assert PixelCNN(shape, SIZES, channels, rows=True)(x, context).shape == (3, shape.features)


@pytest.mark.parametrize("channels", [1, 3])
def test_theta_of_a_pixel_depends_on_all_pixels_before_it_and_on_no_other(channels: int) -> None:
    """The gradient is exactly zero from the pixel itself on, in every channel; before it no pixel in reach is blind."""
    shape = ImageShape(channels, 5, 7)
    network, x, context = small(shape)
    network, x, context = network.double(), x.double().requires_grad_(), context.double()
    theta = network(x, context)
    for i in range(shape.height):
        for j in range(shape.width):
            (slope,) = torch.autograd.grad(theta[0, :, i, j].sum(), x, retain_graph=True)
            assert (slope[1:] == 0).all()
            seen = slope[0].view(-1, channels)
            assert (seen[i * shape.width + j :] == 0).all(), (i, j)
            if j == 3:  # from the middle column all others are in reach
                assert (seen[: i * shape.width + j] != 0).all(), (i, j)


def test_the_first_pixel_sees_z_alone() -> None:
    network, x, context = small(ImageShape(1, 4, 4))
    theta = network(x, context)[:, :, 0, 0]
    assert torch.equal(theta, network(1 - x, context)[:, :, 0, 0])
    assert (theta[0] - theta[1]).abs().min() > 0


def test_gradients_reach_every_weight() -> None:
    shape = ImageShape(3, 6, 6)
    network, x, _ = small(shape)
    decoder = ContextMaps(4, shape, SIZES.width)
    network(x, decoder(x[:, :4])).square().sum().backward()
    for name, weight in [*network.named_parameters(), *decoder.named_parameters()]:
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert (weight.grad != 0).any(), name


def test_bad_sizes_are_refused() -> None:
    for width, layers in ((0, 1), (4, 0)):
        with pytest.raises(InputError, match="both must be at least 1"):
            PixelCNNSizes(width, layers)
