"""The noise clamped at σ_c: λ-VAE without its running λ."""

from dataclasses import dataclass

from lambda_vae import equalization
from lambda_vae.methods.base import Context, Method, setting

__all__ = ["NoiseClamp"]


@dataclass(frozen=True)
class NoiseClamp(Method):
    """z is drawn with min(σ, σ_c).

    Args:
        delta: Of λ-VAE, > 1, from which σ_c follows; inf never clamps.
    """

    name, title, short = "noise-clamp", "noise clamped at σ_c", "noise clamp"
    paper = "ours: Eq. 30 of the λ-VAE paper taken at its word"
    neutral = {"delta": float("inf")}
    delta: float = setting(1.01, "δ={}", always=True)

    def sampling(self, context: Context) -> "equalization.Sampling":
        return equalization.NoiseClamp(self.delta)
