"""Balls around points that reach to their k-th neighbour: the manifold that a set of samples stands for."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Shares", "neighbour_shares", "squared_radii"]

#: Distances held at once: 64 MiB of float64.
_PAIRS_PER_PASS = 2**23

#: Squared distances below this share of the squared lengths they are differences of are rounding: they count as 0.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Shares:
    """The four measures, as numbers, and how many balls are empty.

    Args:
        precision: Share of the fakes inside some ball of a real point.
        recall: Share of the real points inside some ball of a fake.
        density: Mean number of real balls that a fake is in, over k.
        coverage: Share of the real balls with a fake in them.
        real_copies: Share of the real points whose k nearest neighbours are copies of them, so that the radius is 0.
        fake_copies: The same of the fakes.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    real_copies: float
    fake_copies: float


def squared_radii(points: Float[Tensor, "N P"], k: int) -> Float[Tensor, " N"]:
    """Return the squared distance of each point to its k-th nearest neighbour among the others."""
    radii, start = [], 0
    for rows in torch.split(points, _rows_per_pass(points)):
        distances = _squared(rows, points)
        own = torch.arange(len(rows))
        distances[own, start + own] = torch.inf
        radii.append(distances.kthvalue(k, dim=1).values)
        start += len(rows)
    return torch.cat(radii)


def neighbour_shares(real: Float[Tensor, "N P"], fake: Float[Tensor, "M P"], k: int) -> Shares:
    r"""Return precision, recall, density and coverage; a ball holds its own surface.

    .. math:: \text{precision} = \tfrac1M \sum_j 1[f_j \in \cup_i B(r_i)], \quad
        \text{recall} = \tfrac1N \sum_i 1[r_i \in \cup_j B(f_j)], \quad
        \text{density} = \tfrac1{kM} \sum_{ij} 1[f_j \in B(r_i)], \quad
        \text{coverage} = \tfrac1N \sum_i 1[\exists j: f_j \in B(r_i)]

    Source:
        Kynkäänniemi et al. 2019, arXiv:1904.06991, Eq. 1 and 2; Naeem et al. 2020, arXiv:2002.09797, Eq. 2 to 4.
        Deviation: the code of the latter leaves the surface out, which is the same unless distances tie.
    """
    # Seen from a data point, no digits are lost to the distance from the origin, and whole numbers stay whole.
    origin = real[0]
    real, fake = real - origin, fake - origin
    real_radii, fake_radii = squared_radii(real, k), squared_radii(fake, k)
    precise, dense = 0, 0
    recalled, covered = (torch.zeros(len(real), dtype=torch.bool) for _ in range(2))
    rows = _rows_per_pass(real)
    for some, their_radii in zip(torch.split(fake, rows), torch.split(fake_radii, rows), strict=True):
        distances = _squared(some, real)
        inside = distances <= real_radii
        precise += int(inside.any(1).sum())
        dense += int(inside.sum())
        covered |= inside.any(0)
        recalled |= (distances <= their_radii[:, None]).any(0)
    means = [float(hits.double().mean()) for hits in (recalled, covered, real_radii == 0, fake_radii == 0)]
    return Shares(precise / len(fake), means[0], dense / (k * len(fake)), *means[1:])


def _rows_per_pass(points: Tensor) -> int:
    return max(1, _PAIRS_PER_PASS // len(points))


def _squared(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distances of all pairs, multiplied out: one matrix product."""
    lengths = a.square().sum(1)[:, None] + b.square().sum(1)
    distances = torch.addmm(lengths, a, b.T, alpha=-2.0)
    return distances.masked_fill_(distances <= _ROUNDING * lengths, 0.0)
