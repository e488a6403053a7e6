"""IWAE: a bound from many samples."""

from dataclasses import dataclass

from lambda_vae import objectives
from lambda_vae.methods.base import Context, Method, setting

__all__ = ["IWAE"]

_SAMPLES = 50


@dataclass(frozen=True)
class IWAE(Method):
    """The importance-weighted bound of several draws of z.

    Args:
        samples: K, draws of z for each example in training; 50 if not given.
    """

    name, title = "iwae", "IWAE"
    paper = "Burda et al. 2016, arXiv:1509.00519; Tucker et al. 2019, arXiv:1810.04152"
    cost = "one decoder a sample, 50 unless told"
    neutral = "at one sample its KL is a Monte Carlo estimate, with the same mean; tests/objectives/test_iwae.py"
    incompatible = (
        (
            ("equalizer", "sampling"),
            "importance weights need the density of the q that z is drawn from, not the KL of another; leave out iwae "
            "and draw more with `samples`",
        ),
        (
            ("iaf", "flow", "avb"),
            "its gradient holds the parameters of a Gaussian posterior fixed; leave out iwae and compare by nll_iw",
        ),
    )
    samples: int | None = setting(None, "K={}")

    def objective(self, context: Context) -> "objectives.Objective":
        return objectives.IWAE()

    def draws(self, asked: int) -> int:
        return _SAMPLES if self.samples is None else self.samples
