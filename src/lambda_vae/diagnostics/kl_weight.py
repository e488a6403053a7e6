"""Which KL weight a model was trained with, as its gradients say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from lambda_vae.diagnostics.report import DimensionReadings
from lambda_vae.equalization import NEAR_PRIOR_STD
from lambda_vae.errors import InputError

__all__ = ["KLWeight", "kl_weight_of"]

#: A weight that is off by less is not worth a word: what is left of the training's own drift.
_APART = 0.25


@dataclass(frozen=True)
class KLWeight:
    """The weight of the KL term in the training objective.

    Args:
        told: By the caller or the history of the training; None where neither says.
        measured: Where the gradients of the dimensions in use balance, the median of their rho; None where no dimension
            tells.
        low: The lower quartile of these.
        high: The upper one.
        by_caller: Whether the caller named it.
    """

    told: float | None
    measured: float | None
    low: float = 0.0
    high: float = 0.0
    by_caller: bool = False

    @property
    def judged(self) -> float:
        """The weight that was told, else the measured one where it is clearly not 1, else 1."""
        if self.told is not None:
            return self.told
        return self.measured if self.measured is not None and self._apart(1.0) else 1.0

    @property
    def note(self) -> str | None:
        """One sentence where the gradients contradict the weight; None where they do not, or a history told it."""
        expected = 1.0 if self.told is None else self.told
        if self.measured is None or not self._apart(expected) or (self.told is not None and not self.by_caller):
            return None
        spread = f"rho mostly from {self.low:.2g} to {self.high:.2g}"
        found = f"about {self.measured:.2g} ({spread})" if self.measured >= 0.001 else "0 (rho is below 0.001)"
        if self.told is None:
            return (
                f"The gradients of the dimensions in use balance at a KL weight of {found}, not 1: the loss weighs the "
                "KL so, or assumes another noise than the likelihood given here. Causes are judged at that weight; "
                "kl_weight= names another."
            )
        return (
            f"kl_weight is {self.told:.3g}, but the gradients of the dimensions in use balance at {found}: the "
            "training has not settled, or its likelihood is not the one given here."
        )

    def _apart(self, expected: float) -> bool:
        assert self.measured is not None
        clear = self.high < expected if self.measured < expected else self.low > expected
        return clear and abs(self.measured - expected) > _APART * max(expected, 0.1)


def kl_weight_of(
    readings: DimensionReadings,
    given: float | None = None,
    history: Mapping[str, Any] | None = None,
) -> KLWeight:
    """Return the weight that was told and the one that the gradients show.

    At an equilibrium of sigma, rho_i is the KL weight for every dimension (the paper, Proposition 1). Dimensions near
    the prior do not tell: both forces vanish there.

    Raises:
        InputError: A weight below 0.
    """
    if given is not None and not given >= 0.0:
        raise InputError(f"kl_weight is {given}; it must be at least 0")
    weights = (history or {}).get("kl_weight")
    told = given if given is not None else float(weights[-1]) if weights else None
    ratio, stderr = readings.gradient_ratio.ratio.value, readings.gradient_ratio.ratio.stderr
    away = readings.active & (readings.std_mean.value < NEAR_PRIOR_STD)
    telling = away & torch.isfinite(ratio) & (stderr < 0.1 + 0.2 * ratio)
    if not bool(telling.any()):
        return KLWeight(told, None, by_caller=given is not None)
    low, middle, high = torch.quantile(
        ratio[telling].double(), torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64, device=ratio.device)
    ).tolist()
    return KLWeight(told, middle, low, high, given is not None)
