"""The readings that have one value a dimension."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from lambda_vae.diagnostics.gradients import GradientRatio
from lambda_vae.estimation.moments import Reading

__all__ = ["DimensionReadings"]


@dataclass(frozen=True, eq=False)
class DimensionReadings:
    """The readings that have one value a dimension, each [D].

    Args:
        kl: KL(q_1 || p); nats per example.
        std_mean: Mean of sigma(x).
        std_spread: Standard deviation of sigma(x) over x.
        log_precision: E[-ln sigma^2].
        sampling_std: Root of E[sigma_eff^2], the noise that the decoder gets.
        signal_power: S.
        reconstruction_gradient: g.
        gradient_ratio: rho with its noise floor.
        snr_capacity: Nats.
        snr_capacity_predicted: What delta implies, nats; None without delta and where every lambda is 1.
        decoder_capacity: C^dec.
        capacity_lost: To sampling noise, nats.
        exponent: lambda.
        active: S above the threshold.
        bound_gain: Nats that the bound loses without the dimension; NaN for one that is not in use, None where that was
            not measured.
    """

    kl: Reading
    std_mean: Reading
    std_spread: Reading
    log_precision: Reading
    sampling_std: Reading
    signal_power: Reading
    reconstruction_gradient: Reading
    gradient_ratio: GradientRatio
    snr_capacity: Reading
    snr_capacity_predicted: Reading | None
    decoder_capacity: Reading
    capacity_lost: Reading
    exponent: Float[Tensor, " D"]
    active: Bool[Tensor, " D"]
    bound_gain: Reading | None = None

    def to_record(self) -> dict[str, list[Any] | None]:
        """Return lists by the names of metrics.json."""
        gain, ratio = self.bound_gain, self.gradient_ratio.ratio

        def values(*names: str) -> dict[str, list[Any] | None]:
            found = {name: getattr(self, name) for name in names}
            return {name: None if one is None else one.value.tolist() for name, one in found.items()}

        return {
            **values("kl", "std_mean", "std_spread", "sampling_std", "signal_power", "reconstruction_gradient"),
            "exponent": self.exponent.tolist(),
            "active": self.active.tolist(),
            "gradient_ratio": ratio.value.tolist(),
            "gradient_ratio_stderr": ratio.stderr.tolist(),
            **values("snr_capacity", "snr_capacity_predicted", "decoder_capacity", "capacity_lost", "bound_gain"),
            "bound_gain_stderr": None if gain is None else gain.stderr.tolist(),
        }
