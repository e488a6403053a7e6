"""λ-VAE on the way from δ to the plain VAE, under a warm-up."""

from dataclasses import dataclass

from lambda_vae import equalization, training
from lambda_vae.methods.base import Context, Method, setting
from lambda_vae.methods.lambda_vae import LambdaVAE

__all__ = ["LambdaRising"]


@dataclass(frozen=True)
class LambdaRising(Method):
    """δ rises to ∞ from the first sixth of training on and is there for the last twelfth; the KL is warmed up.

    Args:
        delta: Where δ begins, > 1.
        warm_up_epochs: Length of the warm-up's line from 0 to 1; five sixths of all epochs if not given.
        ramp_epochs: Let λ grow from 1 over the first so many epochs; 0 applies it at once.
        refresh_every: Epochs between two computations of λ.
        decay: Of the moving average of σ.
        max_exponent: Largest λ.
    """

    name, title, short = "lambda-rising", "λ-VAE with rising δ and warm-up", "λ rising"
    paper = (
        "ours: Eq. 9-17 of the λ-VAE paper on the way from δ to the plain VAE, under the warm-up of arXiv:1511.06349"
    )
    neutral = {"delta": float("inf"), "warm_up_epochs": 0.0}
    delta: float = setting(1.01, "δ={}", always=True)
    warm_up_epochs: float | None = setting(None, "over {} epochs")
    ramp_epochs: int = setting(0)
    refresh_every: int = setting(2)
    decay: float = setting(0.9)
    max_exponent: float = setting(20.0)

    def schedule(self, context: Context) -> "training.Schedule":
        return training.LinearWarmUp(context.epochs * (5 / 6) if self.warm_up_epochs is None else self.warm_up_epochs)

    def equalizer(self, context: Context) -> "equalization.VarianceEqualizer":
        shared = {
            name: getattr(self, name) for name in ("delta", "ramp_epochs", "refresh_every", "decay", "max_exponent")
        }
        rise, last = round(context.epochs * 3 / 4), round(context.epochs / 12)
        return LambdaVAE(release_epochs=rise, settle_epochs=last, release_path="delta", **shared).equalizer(context)
