"""The input and the output of a training step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from lambda_vae.model import Trace
from lambda_vae.objectives import Terms

__all__ = ["Batch", "Step"]


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step is given, with every random number of the step drawn already.

    Args:
        x: What the model sees, [B, F], or ids [B, L].
        eps: Noise of z, [K, B, D].
        kl_weight: Of the schedule.
        xi: Noise of an implicit posterior, [B, X], or None.
        prior_eps: Noise for draws from the prior, [B, P], or None.
        step: Position in the epoch, from 0.
        dropped: Which tokens word dropout hides from the decoder, [B, L], or None.
    """

    x: Shaped[Tensor, "B F"]
    eps: Float[Tensor, "K B D"]
    kl_weight: float
    xi: Float[Tensor, "B X"] | None = None
    prior_eps: Float[Tensor, "B P"] | None = None
    step: int = 0
    dropped: Bool[Tensor, "B F"] | None = None

    def parts(self, count: int) -> list["Batch"]:
        """Return the batch cut into parts of equal size; the batch itself where there is one part.

        Args:
            count: How many; divides B.
        """
        if count == 1:
            return [self]

        def cut(noise: Tensor | None) -> Sequence[Tensor | None]:
            return [None] * count if noise is None else noise.chunk(count)

        by_name: dict[str, Sequence[Any]] = {"x": self.x.chunk(count), "eps": self.eps.chunk(count, 1)}
        by_name |= {name: cut(getattr(self, name)) for name in ("xi", "prior_eps", "dropped")}
        pieces = zip(*by_name.values(), strict=True)
        return [replace(self, **dict(zip(by_name, piece, strict=True))) for piece in pieces]


@dataclass(frozen=True, eq=False)
class Step:
    """What a step hands to the recorder.

    Args:
        trace: Of the pass that moved the decoder; of the last part of a batch that came in several.
        terms: Of that trace.
        dlogp_dz: Gradient of each example's own log p(x|z) with respect to its z, [K, B, D]; None if not recorded.
    """

    trace: Trace
    terms: Terms
    dlogp_dz: Float[Tensor, "K B D"] | None
