"""Noise of one size: σ_c for every σ."""

from dataclasses import dataclass

from lambda_vae import equalization
from lambda_vae.methods.base import Context, Method, setting

__all__ = ["FixedNoise"]


@dataclass(frozen=True)
class FixedNoise(Method):
    """z is drawn with σ_c for every σ.

    Args:
        delta: Of λ-VAE, > 1, from which σ_c follows; inf gives the prior's own noise, 1.
    """

    name, title, short = "fixed-noise", "noise fixed at σ_c", "fixed noise"
    paper = "ours, after Ghosh et al. 2020, arXiv:1903.12436"
    neutral = "its noise never depends on x"
    delta: float = setting(1.01, "δ={}", always=True)

    def sampling(self, context: Context) -> "equalization.Sampling":
        return equalization.FixedNoise(self.delta)
