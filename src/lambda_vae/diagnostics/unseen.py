"""Whether a model describes the data that it was trained on better than data that it has not seen."""

import math
from collections.abc import Iterable

import torch
from jaxtyping import Shaped
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.estimation.examples import Examples, conditioned
from lambda_vae.estimation.likelihood import likelihood_features, likelihood_readings
from lambda_vae.estimation.moments import Reading, moments_of
from lambda_vae.estimation.protocol import LatentVariableModel

__all__ = ["bound_on", "overfit_note"]

#: Examples that are enough to tell the two apart.
_MOST = 10_000

#: Nats that are worth a word.
_WORTH = 0.25


@torch.no_grad()
def bound_on(
    vae: LatentVariableModel,
    batches: Iterable[Shaped[Tensor, "B ..."] | Examples],
    generator: torch.Generator | None = None,
) -> Reading:
    """Return the valid bound from one draw an example, nats, on at most 10,000; without a generator, seed 0.

    Raises:
        InputError: Fewer than two examples.
    """
    total, chance = None, generator
    for batch in batches:
        model, x = conditioned(vae, batch)
        chance = chance or torch.Generator(x.device).manual_seed(0)
        q = model.encode(x)
        moments = moments_of(likelihood_features(model, x, q, 1, chance, importance=False))
        total = moments if total is None else total + moments
        if total.count >= _MOST:
            break
    if total is None or total.count < 2:
        raise InputError("the training data hold fewer than 2 examples; leave them out, or give more")
    return likelihood_readings(total)["nll_bound"]


def overfit_note(train: Reading, here: Reading) -> str | None:
    """Return one sentence where the bounds differ by more than chance, else None."""
    apart = float(here.value) - float(train.value)
    error = math.hypot(float(here.stderr), float(train.stderr))
    if not abs(apart) > max(_WORTH, 2.0 * error):
        return None
    told = f"nll_bound is {float(train.value):.2f} on the training data and {float(here.value):.2f} on these"
    if apart > 0.0:
        return (
            f"{told}, {apart:.2f} ± {error:.2f} nats worse: a part of what the code says was learnt by heart "
            "(bound_gain tells of which dimensions)."
        )
    return f"{told}, {-apart:.2f} ± {error:.2f} nats better: they are not of one kind, or some of them were trained on."
