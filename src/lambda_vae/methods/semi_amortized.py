"""Semi-amortised inference: q of each example is refined before the decoder learns from it."""

from dataclasses import dataclass

from lambda_vae import training
from lambda_vae.methods.base import Context, Method, setting

__all__ = ["SemiAmortized"]


@dataclass(frozen=True)
class SemiAmortized(Method):
    """The decoder learns from a q that took some steps of its own for each example.

    Args:
        refine_steps: Steps that refine q of each example for the decoder; 0 is the plain VAE.
        refine_rate: Part of the way along the natural gradient, at most 1.
    """

    name, title, short = "semi-amortized", "VAE + semi-amortised inference", "semi-amortised"
    paper = "Kim et al. 2018, arXiv:1802.02550; Hjelm et al. 2016, arXiv:1511.06382"
    cost = "refine_steps more passes of the decoder"
    neutral = {"refine_steps": 0}
    incompatible = (
        (
            ("delta-vae", "iaf", "flow"),
            "its steps move mu and sigma of a Gaussian freely; use lagging, which trains the encoder's own weights",
        ),
        (
            ("iwae",),
            "the gradient of iwae goes by way of the encoder's own mu and sigma; use iwae alone, whose weights "
            "correct q too",
        ),
    )
    refine_steps: int = setting(5, "steps {}")
    refine_rate: float = setting(0.1, "rate {}")

    def strategy(self, context: Context) -> "training.Strategy":
        return training.SemiAmortized(self.refine_steps, self.refine_rate)
