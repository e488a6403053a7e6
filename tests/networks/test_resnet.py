"""The asymmetric ResNet: any image comes through, examples do not meet, sizes are the paper's."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from lambda_vae.errors import InputError
from lambda_vae.networks import DECODER, ENCODER, ImageShape, ResNetDecoder, ResNetEncoder, ResNetSizes, to_rows

SMALL = ResNetSizes(4, 1)


def rows(shape: ImageShape, count: int = 2) -> torch.Tensor:
    return torch.rand(count, shape.features, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("size", "smallest"), [(28, 4), (32, 4), (64, 8)])
def test_shapes(size: int, smallest: int, channels: int) -> None:
    shape = ImageShape(channels, size, size)
    encoder = ResNetEncoder(shape, SMALL)
    assert encoder(rows(shape)).shape == (2, encoder.out_features) == (2, 16 * smallest**2)
    z = torch.zeros(2, 5)
    assert ResNetDecoder(5, shape, SMALL, channels, rows=True)(z).shape == (2, shape.features)
    assert ResNetDecoder(5, shape, SMALL, 7, rows=False)(z).shape == (2, 7, size, size)


@pytest.mark.parametrize("shape", [ImageShape(1, 6, 5), ImageShape(2, 1, 9), ImageShape(1, 8, 8)])
def test_odd_images_come_back_whole(shape: ImageShape) -> None:
    encoder, decoder = ResNetEncoder(shape, SMALL), ResNetDecoder(3, shape, SMALL, shape.channels, rows=True)
    assert decoder(encoder(rows(shape))[:, :3]).shape == (2, shape.features)


def conv(inputs: int, outputs: int, kernel: int = 3) -> int:
    return inputs * outputs * kernel**2 + outputs


def stage(inputs: int, outputs: int, blocks: int) -> int:
    """Weights of the blocks of one stage: two norms and two convolutions each, and a 1x1 where the width changes."""
    pairs = pairwise((inputs, *[outputs] * blocks))
    return sum(2 * a + 2 * b + conv(a, b) + conv(b, b) + (a * b if a != b else 0) for a, b in pairs)


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_the_paper_s_sizes() -> None:
    """32x32x3, K = 512, ten logistics of ten numbers a pixel: counted by hand from 6.1, which gives no totals."""
    shape = ImageShape(3, 32, 32)
    stages = stage(16, 16, 1) + stage(16, 32, 1) + stage(32, 64, 1)
    halvings = conv(16, 16) + conv(32, 32) + conv(64, 64)
    assert count(ResNetEncoder(shape, ENCODER)) == conv(3, 16) + stages + halvings + 2 * 64
    stages = stage(256, 256, 2) + stage(256, 128, 2) + stage(128, 64, 2)
    decoder = ResNetDecoder(512, shape, DECODER, 100, rows=False)
    assert count(decoder) == 513 * 256 * 16 + stages + 2 * 64 + conv(64, 100)
    assert ResNetEncoder(ImageShape(3, 64, 64), ENCODER).out_features == 4096 >= 1024


def test_gradients_reach_every_weight() -> None:
    shape = ImageShape(3, 8, 8)
    encoder, decoder = ResNetEncoder(shape, SMALL), ResNetDecoder(4, shape, SMALL, 3, rows=True)
    decoder(encoder(rows(shape, 4))[:, :4]).square().sum().backward()
    for name, weight in [*encoder.named_parameters(), *decoder.named_parameters()]:
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert (weight.grad != 0).any(), name


def test_examples_do_not_meet() -> None:
    shape = ImageShape(1, 8, 8)
    encoder, decoder, x = ResNetEncoder(shape, SMALL), ResNetDecoder(4, shape, SMALL, 1, rows=True), rows(shape, 5)
    torch.testing.assert_close(encoder(x)[3:4], encoder(x[3:4]))
    z = x[:, :4]
    torch.testing.assert_close(decoder(z)[3:4], decoder(z[3:4]))


def test_rows_and_maps_are_the_same_pixels() -> None:
    shape = ImageShape(3, 4, 5)
    x = rows(shape)
    assert torch.equal(to_rows(shape.to_maps(x)), x)
    assert torch.equal(shape.to_maps(x)[:, 2, 1, 3], x.view(2, 4, 5, 3)[:, 1, 3, 2])
    assert shape.to_maps(x).is_contiguous(memory_format=torch.channels_last)


def test_bad_sizes_are_refused() -> None:
    for width, blocks, multipliers in ((0, 1, (1,)), (4, 0, (1,)), (4, 1, (1, 0)), (4, 1, ())):
        with pytest.raises(InputError, match="all must be at least 1"):
            ResNetSizes(width, blocks, multipliers)
    with pytest.raises(InputError, match=r"an example has shape \(12,\), which is no image; use network=mlp"):
        ImageShape.of((12,))
    with pytest.raises(InputError, match="at least 1"):
        ImageShape.of((4, 4, 0))
