"""Lagging inference: the encoder is kept ahead of the decoder while that pays."""

from dataclasses import dataclass

from lambda_vae import training
from lambda_vae.methods.base import Context, Method, setting

__all__ = ["Lagging"]


@dataclass(frozen=True)
class Lagging(Method):
    """The encoder trains alone until its loss stops falling, before each step of the decoder.

    Args:
        aggressive_steps: Most steps of the encoder before one of the decoder; 0 is the plain VAE.
        aggressive_window: Steps of the encoder between two looks at its loss.
    """

    name, title, short = "lagging", "VAE + lagging inference", "lagging"
    paper = "He et al. 2019, arXiv:1901.05534"
    cost = "while aggressive, up to aggressive_steps steps of the encoder before each of the decoder"
    neutral = {"aggressive_steps": 0}
    aggressive_steps: int = setting(100)
    aggressive_window: int = setting(10)

    def strategy(self, context: Context) -> "training.Strategy":
        return training.Lagging(self.aggressive_steps, self.aggressive_window)
