"""All that is measured of one sampler."""

from dataclasses import dataclass
from typing import Any

from lambda_vae.estimation import Reading
from lambda_vae.generation.fidelity import Fidelity

__all__ = ["SamplerRow", "plain"]


def plain(reading: Reading | None) -> dict[str, float | None]:
    """Return a reading as plain numbers; both None where there is none."""
    if reading is None:
        return {"value": None, "stderr": None}
    return {"value": float(reading.value), "stderr": float(reading.stderr)}


@dataclass(frozen=True, eq=False)
class SamplerRow:
    """One row of a table of samplers.

    Args:
        name: The sampler, or where else the examples come from.
        note: How it came about.
        fidelity: Against measured examples.
        elbo: Under each judge by name, nats per example.
        code_log_density: Mean log density of measured codes z ~ q_sampled under the sampler, nats per example; None
            where there is no sampler. Between two samplers it differs by the difference of their KL(q(z) || sampler).
    """

    name: str
    note: str
    fidelity: Fidelity
    elbo: dict[str, Reading]
    code_log_density: Reading | None

    def to_record(self) -> dict[str, Any]:
        """Return it as plain data; every number with its standard error."""
        return {
            "name": self.name,
            "note": self.note,
            **{name: plain(reading) for name, reading in self.fidelity.readings.items()},
            "elbo": {judge: plain(reading) for judge, reading in self.elbo.items()},
            "code_log_density": plain(self.code_log_density),
            "remarks": list(self.fidelity.remarks),
        }
