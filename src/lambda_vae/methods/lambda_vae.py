"""λ-VAE: z is drawn with σ^λ, so that the noise that reaches the decoder is capped, and the KL stays that of σ."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from lambda_vae import equalization
from lambda_vae.methods.base import Context, Method, setting

__all__ = ["LambdaVAE"]


@dataclass(frozen=True)
class LambdaVAE(Method):
    """z = μ + σ^λ ε with one λ a dimension, all set by one knob δ.

    Args:
        delta: The knob, > 1: towards 1 less sampling noise, inf is the plain VAE.
        release_epochs: Bring λ back to 1 over the last so many epochs; 0 never.
        settle_epochs: End the release so many epochs before the end of training.
        release_path: "exponent" lets λ fall in a straight line; "delta" lets δ rise, and small σ go first.
        release_capacity: λ is 1 where a dimension's wide q carries so many nats; nowhere if not given.
        ramp_epochs: Let λ grow from 1 over the first so many epochs; 0 applies it at once.
        refresh_every: Epochs between two computations of λ.
        decay: Of the moving average of σ.
        max_exponent: Largest λ.
    """

    name, title, short = "lambda-vae", "λ-VAE", "λ"
    paper = "the λ-VAE paper, Eq. 9-17"
    neutral: ClassVar[Mapping[str, Any] | str] = {"delta": float("inf")}
    delta: float = setting(1.01, "δ={}", always=True)
    release_epochs: int = setting(0, "released {}", stem="release")
    settle_epochs: int = setting(0, "settled {}", stem="settle")
    release_path: Literal["exponent", "delta"] = setting("exponent", "by {}", stem="by")
    release_capacity: float | None = setting(None, "held below {}")
    ramp_epochs: int = setting(0)
    refresh_every: int = setting(2)
    decay: float = setting(0.9)
    max_exponent: float = setting(20.0)

    def equalizer(self, context: Context) -> "equalization.VarianceEqualizer":
        settings = {one.name: getattr(self, one.name) for one in fields(LambdaVAE)}  # a subclass may have more
        return equalization.VarianceEqualizer(context.latent_dim, total_epochs=context.epochs, **settings)
