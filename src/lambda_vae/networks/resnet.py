"""The paper's asymmetric ResNet: a weak encoder and a strong decoder for images."""

from dataclasses import dataclass
from itertools import pairwise
from math import gcd, prod
from typing import cast

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lambda_vae.errors import InputError
from lambda_vae.networks.images import ImageShape, to_rows
from lambda_vae.networks.recompute import Recomputing

__all__ = ["DECODER", "ENCODER", "ResNetDecoder", "ResNetEncoder", "ResNetSizes"]


@dataclass(frozen=True)
class ResNetSizes:
    """How large one half of the network is.

    Args:
        width: Channels of the stage at full resolution.
        blocks: Residual blocks a stage.
        multipliers: Of the width, one a stage, from full resolution down; each stage halves the image.

    Raises:
        InputError: A number below 1, or no stage.
    """

    width: int
    blocks: int
    multipliers: tuple[int, ...] = (1, 2, 4)

    def __post_init__(self) -> None:
        if not self.multipliers or min(self.width, self.blocks, *self.multipliers) < 1:
            raise InputError(
                f"a ResNet of width {self.width}, {self.blocks} blocks a stage and multipliers "
                f"{list(self.multipliers)} has no layers; all must be at least 1"
            )

    @property
    def channels(self) -> tuple[int, ...]:
        """Of each stage, from full resolution down."""
        return tuple(self.width * multiplier for multiplier in self.multipliers)


#: The paper's halves.
ENCODER, DECODER = ResNetSizes(16, 1), ResNetSizes(64, 2)


def _norm(channels: int) -> nn.GroupNorm:
    """Normalisation within an example, eight channels together: across a batch, examples would depend on each other."""
    return nn.GroupNorm(gcd(channels, max(1, channels // 8)), channels)


class _Block(nn.Module):
    """x + conv(act(norm(conv(act(norm(x)))))); a 1x1 convolution carries x over where the channels change."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(channels), _norm(out_channels)
        self.conv1 = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        same = channels == out_channels
        self.skip = nn.Identity() if same else nn.Conv2d(channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of the same size."""
        h = self.conv1(F.silu(self.norm1(x)))
        changed: Tensor = self.conv2(F.silu(self.norm2(h)))
        return changed + cast(Tensor, self.skip(x))


class _Stage(Recomputing):
    """Blocks of one resolution; the first one changes the channels."""

    def __init__(self, channels: int, out_channels: int, blocks: int) -> None:
        super().__init__()
        widths = [channels, *[out_channels] * blocks]
        self.blocks = nn.ModuleList(_Block(before, after) for before, after in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of the same size."""
        for block in self.blocks:
            x = self.through(block, x)
        return x


class ResNetEncoder(nn.Module):
    """x [N, F] -> h [N, H]: at each resolution residual blocks, then a convolution of stride 2.

    Args:
        shape: Of an image.
        sizes: How large.

    Attributes:
        out_features: H.

    Source:
        The paper, 6.1; He et al. 2016, arXiv:1603.05027 (blocks that begin with their activation). Deviation: the paper
        names no normalisation and no activation; GroupNorm and SiLU here.

    Example:
        >>> ResNetEncoder(ImageShape(3, 32, 32), ENCODER).out_features
        1024
    """

    def __init__(self, shape: ImageShape, sizes: ResNetSizes) -> None:
        super().__init__()
        channels = sizes.channels
        self.shape = shape
        self.stem = nn.Conv2d(shape.channels, channels[0], 3, padding=1)
        pairs = pairwise((channels[0], *channels))
        self.stages = nn.ModuleList(_Stage(before, after, sizes.blocks) for before, after in pairs)
        self.halvings = nn.ModuleList(nn.Conv2d(width, width, 3, stride=2, padding=1) for width in channels)
        self.norm = _norm(channels[-1])
        self.out_features = channels[-1] * prod(shape.halved(len(channels))[-1])

    def forward(self, x: Float[Tensor, "N F"]) -> Float[Tensor, "N H"]:
        """Return h of x in [0, 1]."""
        maps = self.stem(2.0 * self.shape.to_maps(x) - 1.0)
        for stage, halving in zip(self.stages, self.halvings, strict=True):
            maps = halving(stage(maps))
        return to_rows(F.silu(self.norm(maps)))


class ResNetDecoder(nn.Module):
    """z [N, D] -> theta: the way back, each doubling of the image followed by the blocks of its resolution.

    Args:
        latent_dim: D.
        shape: Of an image.
        sizes: How large.
        maps: P, numbers of theta for each pixel.
        rows: Whether theta comes as rows [N, HWP], pixel by pixel, or as maps [N, P, H, W].

    Source:
        The paper, 6.1. Deviations: as for `ResNetEncoder`; the paper does not say where in a stage the image grows.

    Example:
        >>> import torch
        >>> decoder = ResNetDecoder(8, ImageShape(1, 28, 28), ResNetSizes(4, 1), 1, rows=True)
        >>> decoder(torch.zeros(2, 8)).shape
        torch.Size([2, 784])
    """

    def __init__(self, latent_dim: int, shape: ImageShape, sizes: ResNetSizes, maps: int, *, rows: bool) -> None:
        super().__init__()
        channels = sizes.channels[::-1]
        *grown, smallest = shape.halved(len(channels))
        self.grown, self.rows = grown[::-1], rows
        self.smallest = ImageShape(channels[0], *smallest)
        self.linear = nn.Linear(latent_dim, self.smallest.features)
        pairs = pairwise((channels[0], *channels))
        self.stages = nn.ModuleList(_Stage(before, after, sizes.blocks) for before, after in pairs)
        self.norm = _norm(channels[-1])
        self.head = nn.Conv2d(channels[-1], maps, 3, padding=1)

    def forward(self, z: Float[Tensor, "N D"]) -> Tensor:
        """Return theta of latent points."""
        maps = self.smallest.to_maps(self.linear(z))
        for size, stage in zip(self.grown, self.stages, strict=True):
            maps = stage(F.interpolate(maps, size=size, mode="nearest"))
        if not self.rows:
            maps = maps.contiguous()  # so that theta's gradient, of many more maps, need not be brought into line
        theta: Tensor = self.head(F.silu(self.norm(maps)))
        return to_rows(theta) if self.rows else theta
