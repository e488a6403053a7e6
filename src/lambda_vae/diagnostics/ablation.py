r"""What each dimension is worth on these data: the nats that the bound loses without it.

Without it means either of two models of one dimension less, whichever is better: the dimension's posterior replaced by
the prior, or the decoder given the dimension's mean over the data. Neither pays its KL any longer, so that the loss is

.. math:: E[\log p(x|z)] - E[\log p(x|z_{\setminus i})] - E[\mathrm{KL}_i]

on the same draws of the other dimensions. A code that was learnt by heart is worth less than nothing on data that the
training has not seen.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from lambda_vae.distributions import DiagGaussian
from lambda_vae.estimation.examples import Examples, conditioned
from lambda_vae.estimation.moments import Moments, Reading, moments_of
from lambda_vae.estimation.protocol import LatentVariableModel
from lambda_vae.rng import normal

__all__ = ["Ablation", "ablated", "ablation"]

#: Decoder passes (rows of z) that it may take altogether.
_ROWS = 100_000

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
    """
    numbers = torch.arange(len(resting), device=resting.device).view(-1, sites)
    groups = [numbers[i] for i in in_use]
    each = ablation(vae, batches, groups, resting, generator=generator) if groups else None
    if each is None:
        return None
    at = torch.tensor(in_use, device=each.value.device)
    blank = torch.full((len(numbers),), torch.nan, dtype=each.value.dtype, device=each.value.device)
    gain = Reading(blank.index_copy(0, at, each.value), blank.index_copy(0, at, each.stderr), each.unit)
    worthless = at[each.value + errors * each.stderr < 0.0]
    if not len(worthless):
        return Ablation(gain)
    together = ablation(vae, batches, [numbers[worthless].flatten()], resting, generator=generator)
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
) -> Reading | None:
    """Return the nats that the bound loses without each group of dimensions, [G], with standard errors.

    Returns:
        None where the KL is no sum over the dimensions: posterior or prior is no diagonal Gaussian.

    Source:
        Ours.
    """
    budget, total = max(_FEWEST, _ROWS // (2 * max(1, len(groups)))), None
    for batch in batches:
        left = budget - (0 if total is None else total.count)
        if left <= 0:
            break
        features = _features(vae, batch[: min(left, len(batch))], groups, resting, generator)
        if features is None:
            return None
        total = features if total is None else total + features
    if total is None or total.count < 2:
        return None
    swapped, rested = (total.read(lambda m: m["prior"], _UNIT), total.read(lambda m: m["rest"], _UNIT))
    better = swapped.value <= rested.value
    value, stderr = (
        torch.where(better, *pair) for pair in ((swapped.value, rested.value), (swapped.stderr, rested.stderr))
    )
    return Reading(value, stderr, _UNIT)


def _features(
    vae: LatentVariableModel,
    batch: Tensor | Examples,
    groups: Sequence[Tensor],
    resting: Tensor,
    generator: torch.Generator | None,
) -> Moments | None:
    model, x = conditioned(vae, batch)
    q, prior = model.equalization.sampled(model.encode(x)), model.p_z()
    if not isinstance(q, DiagGaussian) or not isinstance(prior, DiagGaussian):
        return None
    z = q.rsample(normal((1, len(x), q.noise_dim), generator, x.device))
    drawn = prior.rsample(normal((1, len(x), q.noise_dim), generator, x.device))
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
