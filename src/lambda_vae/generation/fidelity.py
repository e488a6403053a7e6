"""How samples stand to real data in a stated feature space, with standard errors and what speaks against them."""

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.estimation import Reading
from lambda_vae.generation.neighbours import Shares, neighbour_shares

__all__ = ["FEW", "NEIGHBOURS", "Fidelity", "fidelity"]

#: k, as in Naeem et al. 2020.
NEIGHBOURS = 5

#: Below so many points on a side the values stand, with a remark.
FEW = 1000

_NAMES = ("precision", "recall", "density", "coverage")

#: Which side's radii each measure stands on.
_BALLS = {"precision": "real", "recall": "fake", "density": "real", "coverage": "real"}

#: Largest share of radii 0 with which a measure is still given.
_MOST_COPIES = 0.01

_REPLICATES, _FRACTION = 40, 5


@dataclass(frozen=True, eq=False)
class Fidelity:
    """Precision, recall, density and coverage of a set of samples.

    Precision says how much of what is generated looks real; recall, how much of what is real could be generated.
    Density is as precision, but counts how many real points vouch for each sample: about 1 for perfect samples.
    Coverage is the share of the real points with a sample near by.

    Args:
        readings: The four by name; NaN where a value must not be used.
        space: Of the distances.
        neighbours: k.
        real: Real points.
        fake: Samples.
        remarks: What speaks against the values, one sentence each.
    """

    readings: dict[str, Reading]
    space: str
    neighbours: int
    real: int
    fake: int
    remarks: tuple[str, ...]


def fidelity(
    real: Float[Tensor, "N P"],
    fake: Float[Tensor, "M Q"],  # Q = P, checked below with a message
    space: str,
    generator: torch.Generator,
    *,
    neighbours: int = NEIGHBOURS,
) -> Fidelity:
    """Return the four measures; a share, or for the density a mean count over k.

    The standard errors come from 40 subsets of a fifth of the points on either side, drawn without replacement: the
    scatter of the measure among them, scaled to the full size. Doubles, which the ordinary bootstrap makes, would stand
    in each other's balls and shrink the radii to nothing.

    Args:
        real: Features of real data.
        fake: Features of samples.
        space: Name of the feature space; it is part of the result.
        generator: The source of chance, for the subsets.
        neighbours: k.

    Raises:
        InputError: The two have different numbers of features, or k is below 1.

    Source:
        Politis and Romano 1994, "Large sample confidence regions based on subsamples under minimal assumptions"; for
        why not the ordinary bootstrap, Abadie and Imbens 2008, "On the failure of the bootstrap for matching
        estimators". The measures: see `neighbour_shares`.
    """
    if real.shape[1] != fake.shape[1]:
        raise InputError(f"real data has {real.shape[1]} features and the samples have {fake.shape[1]}; use one space")
    if neighbours < 1:
        raise InputError(f"neighbours is {neighbours}; it must be at least 1")
    result = partial(Fidelity, space=space, neighbours=neighbours, real=len(real), fake=len(fake))
    reason = _unusable(real, fake, neighbours)
    if reason is not None:
        return result(dict.fromkeys(_NAMES, _NOTHING), remarks=(reason,))
    real, fake = real.double().cpu(), fake.double().cpu()
    values, errors = neighbour_shares(real, fake, neighbours), _errors(real, fake, neighbours, generator)
    copies = {"real": values.real_copies, "fake": values.fake_copies}
    trusted = [name for name in _NAMES if copies[_BALLS[name]] <= _MOST_COPIES]
    readings = dict.fromkeys(_NAMES, _NOTHING) | {
        name: _reading(getattr(values, name), errors[name]) for name in trusted
    }
    return result(readings, remarks=_remarks(values, errors, copies, min(len(real), len(fake)), neighbours))


def _reading(value: float, stderr: float) -> Reading:
    value_, stderr_ = torch.tensor([value, stderr], dtype=torch.float64)
    return Reading(value_, stderr_, "share")


_NOTHING = _reading(float("nan"), float("nan"))


def _unusable(real: Tensor, fake: Tensor, k: int) -> str | None:
    if min(len(real), len(fake)) <= k:
        return f"there are {len(real)} real points and {len(fake)} samples; {k} neighbours need more than {k} of each"
    for name, points in (("real points", real), ("samples", fake)):
        if not bool(torch.isfinite(points).all()):
            return f"some features of the {name} are not finite"
    return None


def _errors(real: Tensor, fake: Tensor, k: int, generator: torch.Generator) -> dict[str, float]:
    """Standard errors at full size; NaN where the subsets are too small, or all alike."""
    sizes = len(real) // _FRACTION, len(fake) // _FRACTION
    if min(sizes) <= k:
        return dict.fromkeys(_NAMES, float("nan"))

    def some(points: Tensor, size: int) -> Tensor:
        return points[torch.randperm(len(points), generator=generator, device=generator.device)[:size].cpu()]

    drawn = [neighbour_shares(some(real, sizes[0]), some(fake, sizes[1]), k) for _ in range(_REPLICATES)]
    # Subsets of b among n scatter by sigma^2 (1/b - 1/n) around the whole, and the whole by sigma^2 / n.
    scale = (1.0 / (_FRACTION - 1.0)) ** 0.5
    spread = (
        torch.tensor([[getattr(one, name) for name in _NAMES] for one in drawn], dtype=torch.float64).std(0) * scale
    )
    return {name: float(value) or float("nan") for name, value in zip(_NAMES, spread, strict=True)}


def _remarks(values: Shares, errors: dict[str, float], copies: dict[str, float], size: int, k: int) -> tuple[str, ...]:
    said = [f"{size} points are few; below {FEW} the values depend on their number"] if size < FEW else []
    for side, name in (("real", "real points"), ("fake", "samples")):
        if copies[side]:
            lost = [one for one in _NAMES if _BALLS[one] == side] if copies[side] > _MOST_COPIES else []
            end = f"; {', '.join(lost)} cannot be read from them" if lost else ""
            said.append(f"{copies[side]:.1%} of the {name} have {k} exact copies or more{end}")
    fixed = [name for name in _NAMES if errors[name] != errors[name]]
    if fixed and size // _FRACTION > k:
        numbers = ", ".join(f"{name} {getattr(values, name):g}" for name in fixed)
        said.append(f"the same in every subset, so that no error can be given: {numbers}")
    elif fixed:
        said.append(f"a {_FRACTION}th of {size} points is too few for an error")
    return tuple(said)
