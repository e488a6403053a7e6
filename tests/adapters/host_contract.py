"""What every adapter of a package must hold to; one file of `host_cases` a package says how it is asked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class HostCase:
    """A package as the contract asks it; each callable trains or measures something small, within seconds.

    Args:
        train: delta -> the final weights by name, of one and the same short training; None is without lambda-vae.
        kl: -> the KL by `diagnose` in nats an example, and the host's own number for the same examples.
        planted: -> the report of a model in which some dimensions are collapsed by hand, and these dimensions.
        refused: -> calls that must end in an InputError, each with words of its sentence.
    """

    train: Callable[[float | None], Mapping[str, Tensor]]
    kl: Callable[[], tuple[float, float]]
    planted: Callable[[], tuple[Any, set[int]]]
    refused: Mapping[str, Callable[[], object]]
