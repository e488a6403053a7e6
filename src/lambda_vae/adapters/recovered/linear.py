"""Laws whose log p is linear in x: Bernoulli, Poisson, multinomial and categories; and counts with their x!."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lambda_vae.adapters.likelihoods.count_laws import MultinomialCounts, PoissonCounts, coefficient_of
from lambda_vae.adapters.recovered.probe import Probe, Recovered, close
from lambda_vae.distributions import Bernoulli
from lambda_vae.distributions.likelihood import Observation

__all__ = ["counts", "linear"]


def linear(probe: Probe) -> Recovered | None:
    """Return the law whose intercept is the value's, or None.

    Args:
        probe: Of a value that is linear in x.
    """
    low, high = float(probe.x.min()), float(probe.x.max())
    if low < 0.0:
        return None
    for count in probe.divisors:
        found = _multinomial(probe, count)
        if found is not None:
            return found
    for count in probe.divisors:
        if high <= 1.0 and _fits(probe, count, lambda logits: -F.softplus(logits).sum(1)):
            return _read(probe, "Bernoulli", Bernoulli, count)
        if _fits(probe, count, lambda log_rates: -log_rates.exp().sum(1)):
            lost = -float(torch.lgamma(probe.rows + 1.0).sum(1).mean())
            return _read(probe, "Poisson", PoissonCounts, count, _left_out("the ln x! of its Poisson", lost))
    return None


def counts(probe: Probe) -> Recovered | None:
    """Return the Poisson or multinomial whose value has its factorials, or None.

    Args:
        probe: Of a value that is not linear in x.
    """
    rows, other = probe.rows, probe.rows.roll(1, 0)
    if float(rows.min()) < 0.0:
        return None
    for count in probe.divisors:
        here, there = count * probe.slope + _factorials(rows), count * probe.elsewhere + _factorials(other)
        total, total_there = (torch.digamma(one.sum(1, keepdim=True) + 1.0) for one in (rows, other))
        terms = (rows * here).abs().sum(1) + torch.lgamma(rows + 1.0).sum(1).abs()
        if _same(here, there):
            expected = (rows * here - here.exp() - torch.lgamma(rows + 1.0)).sum(1)
            if close(count * probe.value, expected, terms + here.exp().sum(1)):
                return _read(probe, "Poisson", PoissonCounts, count, factorials=_factorials)
        if _same(here - total, there - total_there) and _normalised(here - total):
            log_p = here - total
            if close(count * probe.value, (rows * log_p).sum(1) + coefficient_of(rows), terms + rows.sum(1)):
                law = _multinomials(probe, coefficient=True)
                return _read(probe, "multinomial", law, count, factorials=_of_multinomial)
    return None


def _multinomial(probe: Probe, count: int) -> Recovered | None:
    """Of all features together, or along one of x's axes, as one-hot sequences have it."""
    logits, rows = count * probe.slope, probe.rows
    if not close(count * probe.value, (rows * logits).sum(1), (rows * logits).abs().sum(1)):
        return None
    shape = tuple(probe.x.shape[1:])
    lost = coefficient_of(rows)
    if _normalised(logits):
        note = _left_out("the multinomial coefficient", float(lost.mean()))
        return _read(probe, "multinomial", _multinomials(probe, coefficient=False), count, note)
    for dim in range(len(shape)):
        if shape[dim] > 1 and _normalised(logits.reshape(-1, *shape), dim + 1):
            lost = coefficient_of(probe.x.double().movedim(dim + 1, -1)).flatten(1).sum(1)
            note = _left_out("the multinomial coefficients", float(lost.mean()))
            law = _multinomials(probe, coefficient=False, shape=shape, dim=dim)
            return _read(probe, "multinomial", law, count, note)
    return None


def _multinomials(
    probe: Probe, *, coefficient: bool, shape: tuple[int, ...] | None = None, dim: int = -1
) -> Callable[[Tensor], Observation]:
    totals = probe.rows.sum(1).float() if shape is None else probe.x.sum(dim + 1).float().mean().reshape(1)
    return lambda theta: MultinomialCounts(theta, coefficient, totals, shape, dim)


def _fits(probe: Probe, count: int, intercept: Callable[[Tensor], Tensor]) -> bool:
    theta = count * probe.slope
    products, constant = probe.rows * theta, intercept(theta)
    summed = products.abs().sum(1) + constant.abs()
    return close(count * probe.value, products.sum(1) + constant, summed)


def _read(
    probe: Probe,
    family: str,
    likelihood: Callable[[Tensor], Observation],
    count: int,
    notes: tuple[str, ...] = (),
    factorials: Callable[[Tensor], Tensor] | None = None,
) -> Recovered:
    def decoder(rows: Tensor) -> Tensor:
        at, slope = probe.slopes_at(rows)
        return slope if factorials is None else slope + factorials(at)

    return Recovered(decoder, likelihood, count, family, notes)


def _factorials(x: Float[Tensor, "B F"]) -> Float[Tensor, "B F"]:
    """What -ln x! takes off the slope."""
    return torch.digamma(x + 1.0)


def _of_multinomial(x: Float[Tensor, "B F"]) -> Float[Tensor, "B F"]:
    return _factorials(x) - torch.digamma(x.sum(1, keepdim=True) + 1.0)


def _same(here: Tensor, there: Tensor) -> bool:
    return float((here - there).abs().mean()) < 1e-3 * float(here.abs().mean())


def _normalised(logits: Tensor, dim: int = 1) -> bool:
    return float(torch.logsumexp(logits, dim).abs().max()) < 1e-3


def _left_out(what: str, nats: float) -> tuple[str, ...]:
    """A note on what would have to be added to the value."""
    if abs(nats) < 1e-3:
        return ()
    return (
        f"log_likelihood leaves out {what}, {abs(nats):.4g} nats an example: nll_bound is that much too "
        f"{'low' if nats < 0 else 'high'}, and comparable only with bounds that leave it out too.",
    )
