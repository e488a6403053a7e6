"""One measured number, with what it takes to believe it."""

import math
from dataclasses import dataclass
from typing import Any

__all__ = ["Estimate"]


@dataclass(frozen=True)
class Estimate:
    """A number that was estimated.

    Args:
        value: NaN where it could not be.
        stderr: One standard error of `value`; NaN where it is not known.
        unit: Of both; empty for a pure number.
        reason: Why the value is missing, or what to mind when reading it; empty if nothing.
    """

    value: float
    stderr: float
    unit: str = ""
    reason: str = ""

    @classmethod
    def missing(cls, reason: str, unit: str = "") -> "Estimate":
        """Return an estimate that could not be made.

        Args:
            reason: Why.
            unit: What it would have had.
        """
        return cls(math.nan, math.nan, unit, reason)

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return math.isfinite(self.value)

    def to_record(self) -> dict[str, Any]:
        """Return plain data; null stands for a number that is missing."""
        number, error = (x if math.isfinite(x) else None for x in (self.value, self.stderr))
        return {"value": number, "stderr": error, "unit": self.unit, "reason": self.reason}

    def __str__(self) -> str:
        if not self.known:
            return "–"
        error = f" ± {self.stderr:.3f}" if math.isfinite(self.stderr) else ""
        return f"{self.value:.3f}{error}"
