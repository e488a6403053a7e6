"""Warm-up: the KL's weight grows from 0 to 1."""

from dataclasses import dataclass

from lambda_vae import training
from lambda_vae.methods.base import Context, Method, setting

__all__ = ["WarmUp"]


@dataclass(frozen=True)
class WarmUp(Method):
    """The weight of the KL grows from 0 to 1 in a straight line.

    Args:
        epochs: Length of the line; half of all epochs if not given.
    """

    name, title, short = "warm-up", "VAE + warm-up", "warm-up"
    paper = "Bowman et al. 2016, arXiv:1511.06349"
    neutral = {"epochs": 0.0}
    epochs: float | None = setting(None, "over {} epochs", record="warm_up_epochs")

    def schedule(self, context: Context) -> "training.Schedule":
        return training.LinearWarmUp(context.epochs / 2 if self.epochs is None else self.epochs)
