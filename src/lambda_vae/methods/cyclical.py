"""Cyclical annealing: repeated warm-ups."""

from dataclasses import dataclass

from lambda_vae import training
from lambda_vae.methods.base import Context, Method, setting

__all__ = ["Cyclical"]


@dataclass(frozen=True)
class Cyclical(Method):
    """The weight of the KL grows from 0 to 1 over the first half of each cycle.

    Args:
        cycles: How many.
    """

    name, title, short = "cyclical", "VAE + cyclical", "cyclical"
    paper = "Fu et al. 2019, arXiv:1903.10145"
    neutral = "every cycle begins with a KL weight of 0, whatever their number"
    cycles: int = setting(4, "{} cycles")

    def schedule(self, context: Context) -> "training.Schedule":
        return training.Cyclical(context.epochs, self.cycles)
