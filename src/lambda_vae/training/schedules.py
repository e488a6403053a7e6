"""KL weights as pure functions of the position in training."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from lambda_vae.errors import InputError

__all__ = ["Constant", "Cyclical", "LinearWarmUp", "Schedule"]


@runtime_checkable
class Schedule(Protocol):
    """A KL weight for each moment of training."""

    def __call__(self, epoch: float) -> float:
        """Return the factor on the KL after `epoch` epochs; fractions are positions inside an epoch."""


@dataclass(frozen=True)
class Constant:
    """The same weight throughout.

    Args:
        weight: The factor.
    """

    weight: float = 1.0

    def __call__(self, epoch: float) -> float:
        """Return the weight."""
        return self.weight


@dataclass(frozen=True)
class LinearWarmUp:
    """From 0 to 1 in a straight line, then 1.

    Args:
        epochs: Length of the line; 0 is the constant 1.

    Source:
        Bowman et al. 2016, arXiv:1511.06349, section 3.1; Sønderby et al. 2016, arXiv:1602.02282, Eq. 13. Deviation:
        the first step has weight 0, not a small positive one.

    Example:
        >>> LinearWarmUp(epochs=10)(5.0)
        0.5
    """

    epochs: float

    def __post_init__(self) -> None:
        if not 0 <= self.epochs < float("inf"):
            raise InputError(f"warm-up over {self.epochs} epochs makes no sense; give 0 or more")

    def __call__(self, epoch: float) -> float:
        """Return min(1, epoch / epochs)."""
        return min(1.0, epoch / self.epochs) if self.epochs else 1.0


@dataclass(frozen=True)
class Cyclical:
    """Repeated warm-ups: in each cycle a line from 0 to 1 over its first part, then 1.

    Args:
        epochs: Length of the whole training.
        cycles: Number of cycles.
        proportion: Part of a cycle that rises.

    Source:
        Fu et al. 2019, arXiv:1903.10145, Eq. 6 and 7, with their defaults (4 cycles, proportion 0.5).

    Example:
        >>> [Cyclical(epochs=8, cycles=2)(epoch) for epoch in (0, 1, 2, 3, 4, 8)]
        [0.0, 0.5, 1.0, 1.0, 0.0, 1.0]
    """

    epochs: float
    cycles: int = 4
    proportion: float = 0.5

    def __post_init__(self) -> None:
        if not (self.epochs > 0 and self.cycles >= 1 and 0 < self.proportion <= 1):
            raise InputError(
                f"a cyclical schedule of {self.cycles} cycles over {self.epochs} epochs with proportion "
                f"{self.proportion} makes no sense; give at least one cycle and epoch, and a proportion in (0, 1]"
            )

    def __call__(self, epoch: float) -> float:
        """Return the weight at `epoch`; at and after the end it is 1."""
        if epoch >= self.epochs:
            return 1.0
        position = (epoch * self.cycles / self.epochs) % 1.0
        return min(1.0, position / self.proportion)
