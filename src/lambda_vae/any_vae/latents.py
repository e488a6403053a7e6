"""Latents of any shape as rows of sites, the sites of one dimension side by side."""

import math
from dataclasses import dataclass

from jaxtyping import Shaped
from torch import Tensor

from lambda_vae.errors import InputError

__all__ = ["Axis", "Latents"]

#: What a dimension is: "channel" (the usual axis for a shape), "site" (every single number), or an axis counted with
#: the batch, such as 1 for [B, C, L].
Axis = str | int


@dataclass(frozen=True)
class Latents:
    """How [B, *shape] and [B, D * sites] belong together.

    Args:
        shape: Of one example's latent.
        axis: Which of its axes counts the dimensions; None makes every number one.

    Example:
        >>> Latents.of((4, 8, 8), "channel").sites, Latents.of((10, 16), "channel").dim, Latents.of((4, 8), "site").dim
        (64, 16, 32)
    """

    shape: tuple[int, ...]
    axis: int | None

    @classmethod
    def of(cls, shape: tuple[int, ...], dim: Axis) -> "Latents":
        """Return the reading of a shape: of [D] and [T, D] the last axis is the channel, of larger ones the first.

        Raises:
            InputError: There is no such axis.
        """
        if dim == "site":
            return cls(shape, None)
        usual = len(shape) - 1 if len(shape) < 3 else 0
        axis = usual if dim == "channel" else dim - 1 if isinstance(dim, int) and dim > 0 else None
        if axis is None or axis >= len(shape):
            raise InputError(
                f"dim is {dim!r} for latents of shape [B, {', '.join(map(str, shape))}]; it is 'channel', 'site', or "
                f"an axis from 1 to {len(shape)}"
            )
        return cls(shape, axis)

    @property
    def sites(self) -> int:
        """Numbers that make up one dimension."""
        return 1 if self.axis is None else math.prod(self.shape) // self.shape[self.axis]

    @property
    def dim(self) -> int:
        """How many dimensions there are."""
        return math.prod(self.shape) // self.sites

    def rows(self, latent: Shaped[Tensor, "N ..."]) -> Shaped[Tensor, "N D"]:
        """Return [N, *shape] as [N, D * sites]."""
        return latent.flatten(1) if self.axis is None else latent.movedim(self.axis + 1, 1).flatten(1)

    def latent(self, rows: Shaped[Tensor, "N D"]) -> Shaped[Tensor, "N ..."]:
        """Return [N, D * sites] as [N, *shape]."""
        if self.axis is None:
            return rows.reshape(-1, *self.shape)
        rest = self.shape[: self.axis] + self.shape[self.axis + 1 :]
        return rows.reshape(-1, self.shape[self.axis], *rest).movedim(1, self.axis + 1)
