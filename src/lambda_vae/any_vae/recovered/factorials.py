"""Counts whose log p has their factorials: Poisson and multinomial."""

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.any_vae.recovered.linear import multinomials
from lambda_vae.any_vae.recovered.probe import Probe, Recovered, close, normalised, read
from lambda_vae.distributions.counts import PoissonCounts, multinomial_coefficient

__all__ = ["counts"]


def counts(probe: Probe) -> Recovered | None:
    """Return the Poisson or multinomial whose slope changes with x as the logarithms of its factorials do, or None."""
    rows, other = probe.rows, probe.rows.roll(1, 0)
    if float(rows.min()) < 0.0:
        return None
    change = probe.elsewhere - probe.slope
    for family, bend in (("Poisson", _of_poisson), ("multinomial", _of_multinomial)):
        bent = bend(rows) - bend(other)
        weight = float((change * bent).sum() / bent.square().sum().clamp(min=1e-30))
        if weight <= 0.0 or float((change - weight * bent).abs().mean()) > 1e-3 * float(change.abs().mean()):
            continue
        count = next((one for one in probe.divisors if abs(weight * one - 1.0) < 1e-3), 1.0 / weight)
        theta = count * probe.slope + bend(rows)
        summed = (rows * theta).abs().sum(1) + torch.lgamma(rows + 1.0).sum(1).abs()
        if family == "Poisson":
            if close(count * probe.value, PoissonCounts(theta).log_prob(rows), summed + theta.exp().sum(1)):
                return read(probe, family, PoissonCounts, count, bend=bend)
        elif normalised(theta, 1):
            expected = (rows * theta).sum(1) + multinomial_coefficient(rows)
            if close(count * probe.value, expected, summed):
                return read(probe, family, multinomials(probe, coefficient=True), count, bend=bend)
    return None


def _of_poisson(x: Float[Tensor, "B F"]) -> Float[Tensor, "B F"]:
    """What -ln x! takes off the slope."""
    return torch.digamma(x + 1.0)


def _of_multinomial(x: Float[Tensor, "B F"]) -> Float[Tensor, "B F"]:
    return _of_poisson(x) - torch.digamma(x.sum(1, keepdim=True) + 1.0)
