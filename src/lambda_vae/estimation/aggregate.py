"""The aggregate posterior q(z) = 1/N sum_j q(z|x_j) of a whole data set, at draws from it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.rng import normal

__all__ = ["PAIRS_PER_PASS", "OwnAndOthers", "densities", "log_mixture", "log_pairs", "noises", "why_unusable"]

_LOG_2PI = math.log(2.0 * math.pi)

#: Pairs of a draw and a posterior that are looked at together; 24 MiB, whatever the size of the data set.
PAIRS_PER_PASS = 2**21

#: Terms further below the largest are set to e^-60 of it: no sum of them is seen in float64, and exp is an order of
#: magnitude slower where its result underflows.
_FLOOR = -60.0

#: Below it exp(-logvar) leaves float64's range with the squares around it.
_LEAST_LOGVAR = -600.0


def why_unusable(mu: Tensor, logvar: Tensor) -> str:
    """Return why nothing can be estimated from these posteriors; "" if something can.

    Raises:
        InputError: Other shapes.
    """
    if mu.ndim != 2 or mu.shape != logvar.shape:
        raise InputError(f"mu has shape {list(mu.shape)} and logvar {list(logvar.shape)}; give both as [N, D]")
    count = len(mu)
    if count < 2:
        return f"{count} example{'' if count else 's'}; the aggregate posterior needs at least 2"
    point = int((logvar < _LEAST_LOGVAR).any(-1).sum())
    if point:
        return f"{point} of {count} posteriors have a dimension of zero variance, where mutual information is infinite"
    bad = int((~torch.isfinite(mu) | ~torch.isfinite(logvar)).any(-1).sum())
    return f"{bad} of {count} posteriors are not finite" if bad else ""


def log_pairs(z: Float[Tensor, "M D"], mu: Float[Tensor, "N D"], logvar: Float[Tensor, "N D"]) -> Float[Tensor, "M N"]:
    """Return ln N(z_m; mu_n, exp(logvar_n)) of all pairs in nats, float64."""
    weights, constant = _products(mu.double(), logvar.double())
    return torch.addmm(constant, _powers(z.double()), weights)


def _products(mu: Float[Tensor, "N D"], logvar: Float[Tensor, "N D"]) -> tuple[Tensor, Tensor]:
    """The quadratic form of every posterior, multiplied out: log densities are constant + powers @ weights."""
    precision = torch.exp(-logvar)
    weights = torch.cat((-0.5 * precision, mu * precision), 1).T.contiguous()
    return weights, -0.5 * (mu.square() * precision + logvar + _LOG_2PI).sum(-1)


def _powers(z: Float[Tensor, "M D"]) -> Float[Tensor, "M P"]:
    return torch.cat((z.square(), z), 1)


@torch.no_grad()
def log_mixture(
    z: Float[Tensor, "M D"],
    mu: Float[Tensor, "N D"],
    logvar: Float[Tensor, "N D"],
    *,
    leave_own_out: bool = False,
    chunk: int = PAIRS_PER_PASS,
) -> Float[Tensor, " M"]:
    """Return ln 1/N sum_j N(z; mu_j, exp(logvar_j)) in nats, float64.

    The square is multiplied out, so that all pairs cost one matrix product; in float64 what it cancels is not seen. The
    exponential, of differences from the largest term, is taken in float32: 1e-7 of the sum.

    Args:
        z: Points.
        mu: Means.
        logvar: ln sigma^2.
        leave_own_out: Leave posterior i out of the mean at point i, of N - 1 posteriors then.
        chunk: Pairs of a point and a posterior at a time; memory is 12 bytes a pair.
    """
    weights, constant = _products(mu.double(), logvar.double())
    powers = _powers(z.double())
    rows = max(1, chunk // len(mu))
    pairs = torch.empty(min(rows, len(z)), len(mu), dtype=torch.float64, device=z.device)
    ratios = torch.empty_like(pairs, dtype=torch.float32)
    sums = torch.empty(len(z), dtype=torch.float64, device=z.device)
    for start in range(0, len(z), rows):
        part = slice(start, min(start + rows, len(z)))
        log_q, ratio = pairs[: part.stop - start], ratios[: part.stop - start]
        torch.addmm(constant, powers[part], weights, out=log_q)
        if leave_own_out:
            log_q[:, part].fill_diagonal_(-torch.inf)
        largest = log_q.amax(1, keepdim=True)
        ratio.copy_(log_q.sub_(largest))
        sums[part] = ratio.clamp_(min=_FLOOR).exp_().sum(1).double().log() + largest[:, 0]
    return sums - math.log(len(mu) - leave_own_out)


@dataclass(frozen=True, eq=False)
class OwnAndOthers:
    """Log densities at draws z_i ~ q(z|x_i), in nats, float64; M draws of N examples.

    Args:
        own: ln q(z_i|x_i).
        others: ln 1/(N-1) sum_{j != i} q(z_i|x_j).
    """

    own: Float[Tensor, "M N"]
    others: Float[Tensor, "M N"]

    @classmethod
    def stack(cls, parts: Sequence["OwnAndOthers"]) -> "OwnAndOthers":
        """Return the draws of several parts as one."""
        return cls(torch.cat([part.own for part in parts]), torch.cat([part.others for part in parts]))

    @property
    def aggregate(self) -> Float[Tensor, "M N"]:
        """The mixture's ln q(z_i) = ln 1/N sum_j q(z_i|x_j)."""
        count = self.own.shape[-1]
        return torch.logaddexp(self.own, self.others + math.log(count - 1)) - math.log(count)

    @property
    def own_share(self) -> Float[Tensor, "M N"]:
        """What the own posterior contributes to q(z_i), between 0 and 1."""
        return torch.sigmoid(self.own - self.others - math.log(self.own.shape[-1] - 1))


def noises(mu: Float[Tensor, "N D"], generator: torch.Generator | None, draws: int) -> Iterator[Float[Tensor, "N D"]]:
    """Yield the noise of one draw of every example at a time, float64.

    Raises:
        InputError: Less than one.
    """
    if draws < 1:
        raise InputError(f"{draws} draws of each example were asked for; use at least 1")
    for _ in range(draws):
        yield normal(mu.shape, generator, mu.device).double()


def densities(
    eps: Float[Tensor, "N D"],
    mu: Float[Tensor, "N D"],
    logvar: Float[Tensor, "N D"],
    chunk: int = PAIRS_PER_PASS,
) -> OwnAndOthers:
    """Return what q(z|x) and q(z) say of one draw of every example; M is 1."""
    eps, mu, logvar = eps.double(), mu.double(), logvar.double()
    own = -0.5 * (eps.square() + logvar + _LOG_2PI).sum(-1)
    z = mu + torch.exp(0.5 * logvar) * eps
    return OwnAndOthers(own[None], log_mixture(z, mu, logvar, leave_own_out=True, chunk=chunk)[None])
