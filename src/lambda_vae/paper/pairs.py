"""A plain and an equalized run side by side, as Figures 6 to 9 have them, next to the paper's own pair."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lambda_vae.paper.claims import DIFFERS, IN_PART, NOT_SHOWN, Claim, verdict
from lambda_vae.paper.figure import Numbers
from lambda_vae.reports.published import published_line

__all__ = ["NO_BITS", "Pair", "claims_of", "gain_verdict", "name_of", "place_of", "told"]

NO_BITS = "These runs have no bits per dimension: their likelihood is no distribution over 256 values."

_TITLES = {"cifar10": "CIFAR-10", "celeba64": "CelebA-64"}


@dataclass(frozen=True, eq=False)
class Pair:
    """Both runs on one data set.

    Args:
        data: Our name for the data, which may tell the scale too.
        plain: The plain VAE.
        ours: lambda-VAE.
    """

    data: str
    plain: Numbers
    ours: Numbers

    @property
    def _papers_data(self) -> str:
        """The paper's data set that ours is compared with: CIFAR-10 for data that the paper has not."""
        return next((name for name in _TITLES if self.data.startswith(name)), "cifar10")

    @property
    def title(self) -> str:
        """What the paper's claim is about."""
        title = _TITLES[self._papers_data]
        return title if self.data.startswith(self._papers_data) else f"{title} (here: {self.data})"

    def paper(self, quantity: str, prefix: str = "") -> tuple[float, float]:
        """Return what the paper has for the plain VAE and for lambda-VAE, in lines whose names begin with the prefix.

        Example:
            >>> Pair("cifar10", {}, {}).paper("snr_capacity")
            (628, 1760)
        """
        lines = (published_line(f"{prefix}{name}")[self._papers_data] for name in ("VAE", "δ=1.001"))
        plain, ours = (line[quantity] for line in lines)
        return plain, ours

    def gain(self, quantity: str) -> float:
        """Return how many times the plain run's value ours is; NaN where that is not known."""
        plain, ours = self.plain[quantity], self.ours[quantity]
        return math.nan if plain is None or ours is None or plain == 0 else ours / plain


def claims_of(numbers: Numbers, makers: Sequence[Callable[[Pair], Claim]]) -> list[Claim]:
    """Return the claims on each panel's pair, or that a run of it is missing."""
    claims = []
    for panel in numbers["panels"]:
        runs = {run["method"]: run for run in panel["runs"]}
        missing = [name for name in ("vae", "lambda-vae") if name not in runs]
        if missing:
            seen = f"No finished run of {' nor of '.join(missing)} is among those drawn, so nothing can be compared."
            claims.append(Claim(f"{panel['data']}: the plain VAE compared with λ-VAE.", seen, NOT_SHOWN))
        else:
            claims += [make(Pair(panel["data"], runs["vae"], runs["lambda-vae"])) for make in makers]
    return claims


def name_of(run: Numbers) -> str:
    """Return a run's name in a figure.

    Example:
        >>> name_of({"method": "lambda-vae", "label": "λ-VAE δ=1.001, ramp epochs=150"})
        'λ-VAE'
    """
    return {"vae": "VAE", "lambda-vae": "λ-VAE"}.get(run["method"], str(run["label"]))


def place_of(run: Numbers) -> int:
    """Return which of the colours, dashes and marks a run has, the same in every figure."""
    return {"lambda-vae": 0, "vae": 1}.get(run["method"], 2)


def told(value: float | None, form: str = ".0f") -> str:
    """Return a number in words that bear a missing one.

    Example:
        >>> told(1.234, ".1f"), told(None)
        ('1.2', 'unknown')
    """
    return "unknown" if value is None or not math.isfinite(value) else format(value, form)


def gain_verdict(paper: tuple[float, float], ours: float, *, also: bool = True) -> str:
    """Return the verdict on a gain: at least half of the paper's agrees, any of 5% and more agrees in part.

    Args:
        paper: Its pair.
        ours: Our ratio; NaN is no gain.
        also: What else must hold for full agreement.

    Example:
        >>> gain_verdict((628, 1760), 1.95), gain_verdict((628, 1760), 1.2), gain_verdict((628, 1760), float("nan"))
        ('agrees', 'agrees in part', 'differs')
    """
    half = 1 + 0.5 * (paper[1] / paper[0] - 1)
    return verdict(ours >= half and also, IN_PART if ours >= 1.05 else DIFFERS)
