"""The ELBO that a stated model, the judge, gives to samples."""

from dataclasses import InitVar, dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.deprecated import with_old_lambda
from lambda_vae.errors import InputError
from lambda_vae.estimation import Moments, Reading, moments_of
from lambda_vae.estimation.likelihood import likelihood_features, likelihood_readings
from lambda_vae.model import VAE

__all__ = ["JUDGE_SAMPLES", "Judge", "elbo_under"]

#: Draws of z behind each example's ELBO.
JUDGE_SAMPLES = 16

_ROWS_PER_PASS = 500


@dataclass(frozen=True, eq=False)
class Judge:
    """A trained model that scores.

    Args:
        name: Given with every score.
        vae: The model.
    """

    name: str
    vae: VAE
    exponent: InitVar[Tensor | None] = None

    def __post_init__(self, exponent: Tensor | None) -> None:
        if exponent is not None:
            object.__setattr__(self, "vae", with_old_lambda(self.vae, {"exponent": exponent}))
        object.__setattr__(
            self, "exponent", self.vae.equalization.exponent
        )  # who read it in the last release still can


@torch.no_grad()
def elbo_under(
    judge: Judge, x: Float[Tensor, "N F"], generator: torch.Generator, samples: int = JUDGE_SAMPLES
) -> Reading:
    r"""Return the mean ELBO of examples under the judge; nats per example, higher is better.

    .. math:: \frac1N \sum_n \mathbb{E}_{q_\lambda(z|x_n)}[\log p(x_n|z)] - \mathrm{KL}(q_\lambda(z|x_n) \| p)

    with the decoder, the law really sampled from and the prior of the judge: the valid bound also where there is a
    lambda. The judge says how probable the samples are to it, not whether they are good: blank samples score high.

    Args:
        judge: Who scores: the model that drew x, or another, fixed one.
        x: Examples as the judge sees its data.
        generator: The source of chance.
        samples: Draws of z for each example.

    Returns:
        Value and standard error over the examples; NaN where a score is not finite.

    Raises:
        InputError: No examples, or of another width than the judge's.

    Source:
        The lambda-VAE paper, Figure 5b, "ELBO on 256 prior samples", which names no judge and no definition. Deviation:
        x is drawn from p(x|z) and the KL belongs to the law really sampled.
    """
    if not len(x):
        raise InputError("there are no samples to score")
    if x.shape[1] != judge.vae.likelihood.features:
        raise InputError(f"the samples have {x.shape[1]} features and {judge.name} {judge.vae.likelihood.features}")
    parts: list[Moments] = []
    for some in torch.split(x, _ROWS_PER_PASS):
        q = judge.vae.encode(some)
        terms = likelihood_features(judge.vae, some, q, samples, generator, importance=False)
        parts.append(moments_of(terms))
    bound = likelihood_readings(sum(parts[1:], parts[0]))["nll_bound"]
    return Reading(-bound.value.squeeze(), bound.stderr.squeeze(), bound.unit)
