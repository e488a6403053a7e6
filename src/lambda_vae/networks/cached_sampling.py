"""Images pixel by pixel from a PixelCNN, without computing anything twice.

The vertical stack of a row needs nothing of that row, so it is computed once, for all columns. What is left for each
pixel are small products in the horizontal stack, whose left neighbour is kept.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lambda_vae.distributions.causal import Pick, Progress
from lambda_vae.networks.pixelcnn import PixelCNN, gate

__all__ = ["decode_pixels"]


@torch.no_grad()
def decode_pixels(
    network: PixelCNN, context: Float[Tensor, "N C h w"], pick: Pick, progress: Progress | None = None
) -> Float[Tensor, "N F"]:
    """Return images made pixel by pixel; theta is what the network gives for the finished image, to rounding.

    Args:
        network: Of the pixels' distributions.
        context: From z, one an image.
        pick: Chooses the values of a pixel; the only random part.
        progress: Called after each row.

    Source:
        Ramachandran et al. 2017, arXiv:1704.06001 (activations kept). Deviation: the vertical stack advances by rows.

    Example:
        >>> from lambda_vae.networks import ImageShape, PixelCNN, PixelCNNSizes
        >>> network = PixelCNN(ImageShape(1, 4, 4), PixelCNNSizes(8, 2), 1, rows=True)
        >>> decode_pixels(network, torch.zeros(3, 8, 1, 1), lambda theta: (theta > 0).float()).shape
        torch.Size([3, 16])
    """
    shape = network.shape
    images = context.new_zeros(len(context), shape.height, shape.width, shape.channels)
    rows, pixels = _Rows(network, context), _Pixels(network)
    for i in range(shape.height):
        given = rows.advance(images[:, i - 1] if i else None)
        pixels.new_row(len(context))
        for j in range(shape.width):
            left = images[:, i, j - 1] if j else None
            images[:, i, j] = pick(pixels.advance(left, given[:, j]))
        if progress is not None:
            progress(i + 1, shape.height)
    return images.flatten(1)


class _Rows:
    """The vertical stack, a row at a time: of each layer's input the row before is kept."""

    def __init__(self, network: PixelCNN, context: Tensor) -> None:
        self.network = network
        shape, count = network.shape, len(context)
        size = torch.Size((shape.height, shape.width))
        self.told = [layer.told(context, size) for layer in network.layers]
        self.seen = context.new_zeros(count, shape.channels, 2, shape.width)
        self.before = [told.new_zeros(count, told.shape[1] // 2, 1, shape.width) for told in self.told]
        self.i = 0

    def advance(self, finished: Float[Tensor, "N W C"] | None) -> Float[Tensor, "L W N C2"]:
        """Return what every layer of the horizontal stack gets from above, in the next row."""
        if finished is not None:
            new = self.network.scaled(finished).permute(0, 2, 1)[:, :, None]
            self.seen = torch.cat((self.seen[:, :, 1:], new), 2)
        v, given = self.network.above(F.pad(self.seen, (1, 1))), []
        for number, layer in enumerate(self.network.layers):
            both = torch.cat((self.before[number], v), 2)
            above = layer.vertical(F.pad(both, (1, 1))) + self.told[number][:, :, self.i : self.i + 1]
            across = layer.across(above) + _bias(layer.horizontal)[:, None, None]
            given.append(across.squeeze(2).permute(2, 0, 1))
            self.before[number], v = v, gate(above)
        self.i += 1
        return torch.stack(given).contiguous()


@dataclass(frozen=True)
class _Weights:
    """One layer of the horizontal stack as matrices: [left, own] -> 2C, then C -> C."""

    pair: Tensor
    out: Tensor
    bias: Tensor


class _Pixels:
    """The horizontal stack, a pixel at a time: of each layer's input the pixel to the left is kept."""

    def __init__(self, network: PixelCNN) -> None:
        self.network = network
        self.first, self.first_bias = _matrix(network.left), _bias(network.left)
        self.layers = [
            _Weights(_matrix(layer.horizontal), _matrix(layer.out), _bias(layer.out)) for layer in network.layers
        ]
        self.ends = [(_bias(conv), _matrix(conv)) for conv in (network.hidden, network.head)]

    def new_row(self, count: int) -> None:
        """Forget what lay to the left."""
        width, channels = self.first_bias.numel(), self.network.shape.channels
        self.seen = self.first.new_zeros(count, 2 * channels)
        self.before = [self.first.new_zeros(count, width) for _ in self.layers]

    def advance(self, left: Float[Tensor, "N C"] | None, given: Float[Tensor, "L N C2"]) -> Float[Tensor, "N P"]:
        """Return theta of the next pixel."""
        if left is not None:
            self.seen = torch.cat((self.seen[:, left.shape[1] :], self.network.scaled(left)), 1)
        h = torch.addmm(self.first_bias, self.seen, self.first)
        for number, (weights, from_above) in enumerate(zip(self.layers, given, strict=True)):
            both = torch.addmm(from_above, torch.cat((self.before[number], h), 1), weights.pair)
            self.before[number] = h
            both[:, : h.shape[1]].tanh_()
            h = torch.addmm(h + weights.bias, F.glu(both, 1), weights.out)  # glu is the other half of the gate
        for bias, matrix in self.ends:
            h = torch.addmm(bias, torch.relu(h), matrix)
        return h


def _matrix(conv: nn.Conv2d) -> Tensor:
    """Weights [out, in, 1, k] as a matrix [k in, out], the leftmost pixel's first."""
    return conv.weight.squeeze(2).permute(2, 1, 0).flatten(0, 1).contiguous()


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias
