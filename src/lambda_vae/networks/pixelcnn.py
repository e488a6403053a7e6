"""A gated PixelCNN: every pixel's distribution given the pixels above it and to its left, and given z."""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lambda_vae.errors import InputError
from lambda_vae.networks.images import ImageShape, to_rows
from lambda_vae.networks.recompute import Recomputing

__all__ = ["ContextMaps", "GatedLayer", "PixelCNN", "PixelCNNSizes", "gate"]

#: The grid of the context has every fourth row and column of the image.
_HALVINGS = 2


@dataclass(frozen=True)
class PixelCNNSizes:
    """How large a PixelCNN is.

    Args:
        width: Channels of each stack, and of the context.
        layers: Gated layers after the first convolution.

    Raises:
        InputError: A number below 1.
    """

    width: int = 64
    layers: int = 5

    def __post_init__(self) -> None:
        if min(self.width, self.layers) < 1:
            raise InputError(
                f"a PixelCNN of width {self.width} and {self.layers} layers is none; both must be at least 1"
            )


def gate(x: Float[Tensor, "N C2 *grid"]) -> Float[Tensor, "N C *grid"]:
    """Return tanh(first half of the channels) sigmoid(second half).

    Args:
        x: [N, 2C, ...].

    Source:
        van den Oord et al. 2016, arXiv:1606.05328, Eq. 2.
    """
    content, weight = x.chunk(2, 1)
    return torch.tanh(content) * torch.sigmoid(weight)


class ContextMaps(nn.Module):
    """z [N, D] -> what the PixelCNN is told of it: maps [N, C, h, w] of a quarter of the image's height and width.

    Args:
        latent_dim: D.
        shape: Of an image.
        channels: C.

    Source:
        Gulrajani et al. 2017, arXiv:1611.05013 (PixelVAE), 3.1: maps from z join the stack in place. Deviation: one
        linear layer makes them, so that the decoder's strength is the PixelCNN's.
    """

    def __init__(self, latent_dim: int, shape: ImageShape, channels: int) -> None:
        super().__init__()
        self.grid = ImageShape(channels, *shape.halved(_HALVINGS)[-1])
        self.linear = nn.Linear(latent_dim, self.grid.features)

    def forward(self, z: Float[Tensor, "N D"]) -> Float[Tensor, "N C h w"]:
        """Return the context of latent points."""
        return self.grid.to_maps(F.silu(self.linear(z)))


class GatedLayer(nn.Module):
    """One layer of both stacks; the vertical one has seen whole rows above, the horizontal one pixels to the left too.

    z enters the vertical stack and comes to the horizontal one with it.

    Args:
        width: C.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.vertical = nn.Conv2d(width, 2 * width, (2, 3))
        self.horizontal = nn.Conv2d(width, 2 * width, (1, 2))
        self.across = nn.Conv2d(2 * width, 2 * width, 1, bias=False)
        self.context = nn.Conv2d(width, 2 * width, 1, bias=False)
        self.out = nn.Conv2d(width, width, 1)

    def forward(
        self, v: Float[Tensor, "N C H W"], h: Float[Tensor, "N C H W"], context: Float[Tensor, "N C h w"]
    ) -> tuple[Float[Tensor, "N C H W"], Float[Tensor, "N C H W"]]:
        """Return both stacks after this layer.

        Args:
            v: Vertical stack: row i knows the pixels of the rows before i.
            h: Horizontal stack: pixel j of row i knows those before (i, j) too.
            context: From z.
        """
        above = self.vertical(F.pad(v, (1, 1, 1, 0))) + self.told(context, v.shape[-2:])
        left = self.horizontal(F.pad(h, (1, 0, 0, 0))) + self.across(above)
        return gate(above), h + self.out(gate(left))

    def told(self, context: Float[Tensor, "N C h w"], size: torch.Size) -> Float[Tensor, "N C2 H W"]:
        """Return what z adds to the vertical stack at every pixel."""
        return F.interpolate(self.context(context), size=tuple(size), mode="nearest")


class PixelCNN(Recomputing):
    """x [N, F] and context -> theta of every pixel given those before it, all in one pass (teacher forcing).

    No pixel sees itself or a later one: the first convolutions are shifted, the others look only up and left. The two
    stacks leave no blind spot. All channels of a pixel are given at once; whether they depend on each other is the
    likelihood's affair.

    Args:
        shape: Of an image.
        sizes: How large.
        maps: P, numbers of theta for each pixel.
        rows: Whether theta comes as rows [N, HWP], pixel by pixel, or as maps [N, P, H, W].

    Source:
        van den Oord et al. 2016, arXiv:1606.05328, Figure 2; Salimans et al. 2017, arXiv:1701.05517 (shifted instead of
        masked). Deviations: kernels 2x3 and 1x2; z is added to the vertical stack alone, which feeds the horizontal.

    Example:
        >>> network = PixelCNN(ImageShape(1, 4, 4), PixelCNNSizes(8, 2), 1, rows=True)
        >>> network(torch.zeros(3, 16), torch.zeros(3, 8, 1, 1)).shape
        torch.Size([3, 16])
    """

    def __init__(self, shape: ImageShape, sizes: PixelCNNSizes, maps: int, *, rows: bool) -> None:
        super().__init__()
        width = sizes.width
        self.shape, self.maps, self.rows = shape, maps, rows
        self.above = nn.Conv2d(shape.channels, width, (2, 3))
        self.left = nn.Conv2d(shape.channels, width, (1, 2))
        self.stack = nn.ModuleList(GatedLayer(width) for _ in range(sizes.layers))
        self.hidden = nn.Conv2d(width, width, 1)
        self.head = nn.Conv2d(width, maps, 1)

    @property
    def layers(self) -> list[GatedLayer]:
        """The gated layers, first to last."""
        return cast(list[GatedLayer], list(self.stack))

    def forward(self, x: Float[Tensor, "N F"], context: Float[Tensor, "N C h w"]) -> Tensor:
        """Return theta.

        Args:
            x: In [0, 1].
            context: From z.
        """
        seen = self.scaled(self.shape.to_maps(x))
        v = self.above(F.pad(seen, (1, 1, 2, -1)))  # row i looks at the rows i-2 and i-1
        h = self.left(F.pad(seen, (2, -1, 0, 0)))  # pixel j looks at the pixels j-2 and j-1
        for layer in self.layers:
            v, h = self.through(layer, v, h, context)
        theta: Tensor = self.head(F.relu(self.hidden(F.relu(h))))
        return to_rows(theta) if self.rows else theta

    @staticmethod
    def scaled(x: Tensor) -> Tensor:
        """Return values as the first convolutions take them: what lies outside of the image is 0, a middle grey.

        Args:
            x: In [0, 1].
        """
        return 2.0 * x - 1.0
