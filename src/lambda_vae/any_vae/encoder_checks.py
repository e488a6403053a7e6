"""The first answer of `encode`: every mistake that would give a plausible wrong report is named."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from lambda_vae.any_vae.parametrisations import check_takes
from lambda_vae.any_vae.posteriors import GaussianOutput, finite_posterior, posterior
from lambda_vae.any_vae.tensors import two_tensors
from lambda_vae.errors import InputError

__all__ = ["checked_posterior", "independent_of_company"]

#: Of the spread of the first tensor, what a second one may be away from it and still be a copy with losses.
_COPY = 0.5


def checked_posterior(
    encode: Callable[[Tensor], object], x: Tensor, takes: str | None, *, entire: bool = False, standard: bool = True
) -> GaussianOutput:
    """Return q(z|x) of the first batch, after every check that needs no likelihood.

    `takes` is looked at more closely if it is None; `entire` says that encode answers this batch as a whole alone, and
    `standard` that the prior is N(0, I), which no posterior is wider than.

    Raises:
        InputError: A mistake was found.
    """
    check_takes(takes)
    raw = encode(x)
    q = posterior(raw, x, takes)
    finite_posterior(q)
    again = posterior(encode(x), x, takes)
    apart = max(float((a - b).abs().max()) for a, b in zip(_parts(q), _parts(again), strict=True))
    if apart > 0.0:
        raise InputError(
            f"encode gives two answers for the same batch, {apart:.2g} apart; return mu instead of a sample, and call "
            "model.eval() before, if it has dropout"
        )
    if len(x) > 1 and not entire:
        half = len(x) // 2
        alone = posterior(encode(x[:half]), x[:half], takes)
        independent_of_company("encode", torch.cat([part[:half] for part in _parts(q)]), torch.cat(_parts(alone)))
    if not isinstance(raw, Distribution):
        _check_second(*two_tensors(raw, x))
        if takes is None and standard:
            _check_wide(q.mu, q.logvar)
    return q


def _parts(q: GaussianOutput) -> list[Tensor]:
    return [q.mu.float(), q.logvar.float(), *([] if q.factor is None else [q.factor.float().square().sum(-2)])]


def _check_second(mu: Tensor, second: Tensor) -> None:
    """A second tensor that follows the first number by number is no sigma: a quantised code, or a copy."""
    wide, other = mu.double(), second.double()
    centred = wide - wide.mean(0)
    if not float(centred.square().mean()) > 0.0 or float((wide - other).square().mean()) > _COPY * float(
        centred.square().mean()
    ):
        return
    values = len(torch.unique(other.float().mul(1e4).round()))
    if values < 0.5 * other.numel():
        raise InputError(
            f"the second tensor of encode follows the first one in {values} distinct values, as the z_q of a VQ-VAE "
            "does; that has no posterior of width sigma, and its KL is ln K a code by definition: it cannot be "
            "diagnosed as a VAE"
        )
    raise InputError(
        "the second tensor of encode is all but the first one again; it must be ln sigma^2: `return mu, logvar`"
    )


def _check_wide(mu: Tensor, logvar: Tensor) -> None:
    """A log variance above 0 everywhere makes every posterior wider than the prior, and q(z) no fit for it."""
    aggregate = mu.double().var(0, correction=0) + logvar.double().exp().mean(0)
    if bool((logvar > 0.0).all()) and float(aggregate.mean()) > 1.5:
        low, high = float(logvar.min()), float(logvar.max())
        raise InputError(
            f"logvar of encode lies between {low:.3g} and {high:.3g}, above 0 everywhere, as a standard deviation "
            "would; say takes='std', or return its logarithm: `2 * std.log()` (takes='var' or `var.log()` if it is a "
            "variance)"
        )


def independent_of_company(what: str, together: Tensor, apart: Tensor, slack: float = 0.0) -> None:
    """Raise unless the same examples in other company give the same numbers, but for rounding."""
    scale = float(together.abs().max().clamp(min=1.0))
    worst = float((together - apart).abs().max())
    if worst > max(1e-3 * scale, slack):
        raise InputError(
            f"{what} answers differently for an example when others are in its batch ({worst:.2g} apart); take the "
            "mean or sum over the batch out of it, and call model.eval() before, if it has batch norm"
        )
