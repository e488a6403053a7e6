"""A sample together with its density."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

__all__ = ["Draw"]


@dataclass(frozen=True, eq=False)
class Draw:
    """Draws from a law, and what the law itself says of them.

    Args:
        z: [..., D].
        log_prob: () -> the law's log density at z in nats, [...]; computed when asked for, as most objectives never do.
    """

    z: Float[Tensor, "*sample D"]
    log_prob: Callable[[], Tensor]
