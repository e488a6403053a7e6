r"""What each dimension is worth on these data: the nats that the bound loses without it.

Without it means either of two models of one dimension less, whichever is better: the dimension's posterior replaced by
the prior, or the decoder given the dimension's mean over the data. Neither pays its KL any longer, so that the loss is

.. math:: E[\log p(x|z)] - E[\log p(x|z_{\setminus i})] - E[\mathrm{KL}_i]

on the same draws of the other dimensions. A code that was learnt by heart is worth less than nothing on data that the
training has not seen.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from lambda_vae.distributions import DiagGaussian
from lambda_vae.estimation.budget import Limits
from lambda_vae.estimation.examples import Examples, conditioned, evenly, x_of
from lambda_vae.estimation.moments import Moments, Reading, moments_of
from lambda_vae.estimation.noise import ExampleNoise, spawned
from lambda_vae.estimation.protocol import LatentVariableModel
from lambda_vae.estimation.shares import ALONE, Shares

__all__ = ["Ablation", "ablated", "ablation"]

#: Decoder passes (rows of z) that it may take altogether, whatever they cost.
_ROWS = 100_000

#: Operations that it may take, and as a share of what an encoder and a decoder pass over all data take.
_OPERATIONS, _SHARE = 1e10, 0.5

#: Of that, for all dimensions that are worth nothing together: one number needs no more.
_TOGETHER = 0.2

#: Operations that a number of x is worth in a density.
_OF_A_DENSITY = 150.0

_UNIT = "nats per example"

#: Nats that dimensions must cost together to be spoken of.
_WORTH_A_WORD = 0.05

#: Examples that are looked at, however many dimensions there are.
_FEWEST = 50


@dataclass(frozen=True, eq=False)
class Ablation:
    """What the dimensions in use are worth on these data.

    Args:
        bound_gain: Nats that the bound loses without each dimension, [D]; NaN where that was not asked.
        worthless: Dimensions without which the bound is better, beyond two standard errors.
        saved: Nats by which it would be better without all of these.
        saved_stderr: Its standard error over the examples.
    """

    bound_gain: Reading
    worthless: tuple[int, ...] = ()
    saved: float = 0.0
    saved_stderr: float = 0.0

    def __str__(self) -> str:
        if not self.worthless or self.saved < _WORTH_A_WORD:
            return ""
        count, them = len(self.worthless), "it" if len(self.worthless) == 1 else "them"
        return (
            f"On these data {count} of those in use {'is' if count == 1 else 'are'} worth less than nothing: without "
            f"{them} the bound would be {self.saved:.1f} ± {self.saved_stderr:.1f} nats better."
        )


def ablated(
    vae: LatentVariableModel,
    batches: Iterable[Shaped[Tensor, "B ..."] | Examples],
    in_use: Sequence[int],
    sites: int,
    resting: Float[Tensor, " D"],
    *,
    errors: float = 2.0,
    generator: torch.Generator | None = None,
    examples: int | None = None,
    limits: Limits | None = None,
    shares: Shares = ALONE,
) -> Ablation | None:
    """Return what each of these dimensions is worth, and all worthless ones together; None as `ablation`.

    Args:
        vae: The model.
        batches: The data.
        in_use: Dimensions to take away, one at a time.
        sites: Numbers of the code that make up a dimension, in a row.
        resting: E_x[mu] of every number.
        errors: Standard errors that a loss must be below 0.
        generator: The source of chance.
        examples: How many the data are.
        limits: Of work and memory.
        shares: The processes that divide the work.
    """
    numbers = torch.arange(len(resting), device=resting.device).view(-1, sites)
    groups = [numbers[i] for i in in_use]
    ways: dict[str, Any] = {"generator": generator, "examples": examples, "limits": limits, "shares": shares}
    each = ablation(vae, batches, groups, resting, **ways) if groups else None
    if each is None:
        return None
    at = torch.tensor(in_use, device=each.value.device)
    blank = torch.full((len(numbers),), torch.nan, dtype=each.value.dtype, device=each.value.device)
    gain = Reading(blank.index_copy(0, at, each.value), blank.index_copy(0, at, each.stderr), each.unit)
    worthless = at[each.value + errors * each.stderr < 0.0]
    if not len(worthless):
        return Ablation(gain)
    together = ablation(vae, batches, [numbers[worthless].flatten()], resting, share=_TOGETHER, **ways)
    assert together is not None
    return Ablation(gain, tuple(worthless.tolist()), -float(together.value), float(together.stderr))


@torch.no_grad()
def ablation(
    vae: LatentVariableModel,
    batches: Iterable[Shaped[Tensor, "B ..."] | Examples],
    groups: Sequence[Tensor],
    resting: Float[Tensor, " D"],
    *,
    generator: torch.Generator | None = None,
    examples: int | None = None,
    limits: Limits | None = None,
    share: float = 1.0,
    shares: Shares = ALONE,
) -> Reading | None:
    """Return the nats that the bound loses without each group of dimensions, [G], with standard errors.

    Returns:
        None where the KL is no sum over the dimensions: posterior or prior is no diagonal Gaussian.

    Source:
        Ours.
    """
    first = next(iter(batches), None)
    if first is None:
        return None
    allowed, total = limits or Limits(), None
    most = max(_FEWEST, share * _most_rows(x_of(first)[0].numel(), allowed, examples) // (2 * max(1, len(groups))))
    noise = [ExampleNoise(spawned(generator, first.device)) for _ in range(2)]
    for place, batch in enumerate(evenly(batches, examples, most, len(first) if allowed.whole else allowed.rows)):
        if not shares.looks(place):
            for one in noise:
                one.skip(len(batch), len(resting), batch.device)
            continue
        features = _features(vae, batch, groups, resting, noise)
        if features is None:
            return None
        features = features if shares.mine(place) else features.none()
        total = features if total is None else total + features
    shares.exchange()
    total = None if total is None else total.shared(shares)
    if total is None or total.count < 2:
        return None
    swapped, rested = (total.read(lambda m: m["prior"], _UNIT), total.read(lambda m: m["rest"], _UNIT))
    better = swapped.value <= rested.value
    value, stderr = (
        torch.where(better, *pair) for pair in ((swapped.value, rested.value), (swapped.stderr, rested.stderr))
    )
    return Reading(value, stderr, _UNIT)


def _most_rows(numbers: int, limits: Limits, examples: int | None) -> float:
    density = _OF_A_DENSITY * numbers
    work = max(_OPERATIONS, _SHARE * (examples or 0) * (limits.encoder + limits.decoder + density))
    return min(_ROWS, work / (limits.decoder + density))


def _features(
    vae: LatentVariableModel,
    batch: Tensor | Examples,
    groups: Sequence[Tensor],
    resting: Tensor,
    noise: Sequence[ExampleNoise],
) -> Moments | None:
    model, x = conditioned(vae, batch)
    q, prior = model.equalization.sampled(model.encode(x)), model.p_z()
    if not isinstance(q, DiagGaussian) or not isinstance(prior, DiagGaussian):
        return None
    eps, other = (one.rows(len(x), q.noise_dim, x.device)[None] for one in noise)
    z, drawn = q.rsample(eps), prior.rsample(other)
    kl = DiagGaussian(q.mu.double(), q.logvar.double()).kl_per_dim(
        DiagGaussian(prior.mu.double(), prior.logvar.double())
    )
    whole = model.decode(z).log_prob(x)[0].double()

    def lost(instead: Callable[[Tensor], Tensor]) -> Tensor:
        return torch.stack(
            [
                whole
                - model.decode(z.index_copy(-1, group, instead(group).to(z.dtype))).log_prob(x)[0].double()
                - kl[:, group].sum(1)
                for group in groups
            ],
            1,
        )

    return moments_of(
        {
            "prior": lost(lambda group: drawn[..., group].expand(1, len(x), -1)),
            "rest": lost(lambda group: resting[group].expand(1, len(x), -1)),
        }
    )
