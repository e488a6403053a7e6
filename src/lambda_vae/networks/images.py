"""Images between the rows of a data set and the maps of a convolution."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from lambda_vae.errors import InputError

__all__ = ["ImageShape", "to_rows"]


@dataclass(frozen=True)
class ImageShape:
    """How the numbers of one example lie on a grid.

    Args:
        channels: C.
        height: H.
        width: W.

    Raises:
        InputError: A number below 1.

    Example:
        >>> ImageShape.of((32, 32, 3)).features
        3072
    """

    channels: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if min(self.channels, self.height, self.width) < 1:
            raise InputError(f"an image of {self} has nothing in it; channels, height and width are at least 1")

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> "ImageShape":
        """Return the shape of examples that a data set gives as (H, W) or (H, W, C).

        Args:
            shape: Of one example.

        Raises:
            InputError: One that is no image.
        """
        if len(shape) not in (2, 3):
            raise InputError(f"an example has shape {shape}, which is no image; use network=mlp")
        height, width, *channels = shape
        return cls(channels[0] if channels else 1, height, width)

    @property
    def features(self) -> int:
        """F, the length of a row."""
        return self.channels * self.height * self.width

    def halved(self, times: int) -> list[tuple[int, int]]:
        """Return the sizes (H, W) after 0, 1, ... halvings, odd ones rounded up.

        Args:
            times: How many.

        Example:
            >>> ImageShape(1, 28, 28).halved(3)
            [(28, 28), (14, 14), (7, 7), (4, 4)]
        """
        sizes = [(self.height, self.width)]
        for _ in range(times):
            sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
        return sizes

    def to_maps(self, rows: Float[Tensor, "N F"]) -> Float[Tensor, "N C H W"]:
        """Return rows as maps; a view, in the channels-last layout that convolutions are fastest on.

        Args:
            rows: Pixel by pixel, the channels of a pixel side by side.
        """
        return rows.view(-1, self.height, self.width, self.channels).permute(0, 3, 1, 2)


def to_rows(maps: Float[Tensor, "N P H W"]) -> Float[Tensor, "N HWP"]:
    """Return maps as rows, pixel by pixel.

    Args:
        maps: Of any number of channels.

    Example:
        >>> import torch
        >>> to_rows(torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])).tolist()
        [[1.0, 3.0, 2.0, 4.0]]
    """
    return maps.permute(0, 2, 3, 1).flatten(1)
