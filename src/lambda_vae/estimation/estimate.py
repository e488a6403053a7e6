"""A number with its error, and whether it may be trusted."""

import math
from dataclasses import dataclass, fields
from typing import Any

from jaxtyping import Float
from torch import Tensor

__all__ = ["Estimate", "mean_over_examples", "plain"]


@dataclass(frozen=True)
class Estimate:
    """One estimated number; NaN with a reason where there is none to give.

    Args:
        value: What was estimated.
        stderr: One standard error of `value` over the examples.
        unit: Of both; empty for a pure number.
        reason: Why `value` is NaN, or what speaks against it; "" where nothing does.

    Example:
        >>> Estimate.unknown("1 example; give at least 2").value
        nan
    """

    value: float
    stderr: float
    unit: str = "nats"
    reason: str = ""

    @classmethod
    def unknown(cls, reason: str, unit: str = "nats") -> "Estimate":
        """Return NaN with its reason.

        Args:
            reason: One clause.
            unit: Of the number that is not there.
        """
        return cls(math.nan, math.nan, unit, reason)

    @classmethod
    def over_examples(cls, terms: Float[Tensor, "M N"], reason: str = "") -> "Estimate":
        """Return the mean of terms in nats with its error over the examples, as `mean_over_examples` takes it.

        Args:
            terms: M draws of N examples.
            reason: What speaks against it.
        """
        return cls(*mean_over_examples(terms), reason=reason)

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return math.isfinite(self.value)

    def to_record(self) -> dict[str, Any]:
        """Return plain data; null stands for a number that is missing."""
        return plain(self)

    def __str__(self) -> str:
        if not self.known:
            return "–"
        error = f" ± {self.stderr:.3f}" if math.isfinite(self.stderr) else ""
        return f"{self.value:.3f}{error}"


def plain(found: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass of numbers and estimates
    """Return the fields of estimates and numbers as plain data; null stands for a number that is missing."""

    def one(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        return plain(value) if isinstance(value, Estimate) else value

    return {field.name: one(getattr(found, field.name)) for field in fields(found)}


def mean_over_examples(terms: Float[Tensor, "M N"]) -> tuple[float, float]:
    """Return the mean of all terms, and its standard error over the examples.

    The draws of one example are averaged first: they share its x, and more of them do not make more examples. Where the
    terms hold a density that is itself a mean over the same examples, as ln q(z) does, this is still the error to first
    order in 1/N: the derivative of E[ln q(z)] by the density is E_q[dq/q], and a change of a density integrates to 0.
    """
    means = terms.double().mean(0)
    stderr = float(means.std()) / math.sqrt(len(means)) if len(means) > 1 else math.nan
    return float(means.mean()), stderr
