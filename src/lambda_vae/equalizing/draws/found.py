"""The formula of a draw: which tensor is mu, which function of which tensor is sigma, and which output is z."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lambda_vae.distributions.base import at_least_float32
from lambda_vae.equalizing.draws.tensors import Call, Source

__all__ = ["WIDTHS", "Draw", "Probes", "consistent", "refusal"]

Candidates = Sequence[tuple[Source, Tensor]]

#: sigma as a function of a tensor, by the name of its parametrisation.
WIDTHS: dict[str, Callable[[Tensor], Tensor]] = {
    "std": lambda second: second,
    "logvar": lambda second: torch.exp(0.5 * second),
    "log_std": torch.exp,
    "var": torch.sqrt,
    "softplus": F.softplus,
}

#: ln sigma as a function of a tensor, where that is simpler than sigma.
_LOG_WIDTHS: dict[str, Callable[[Tensor], Tensor]] = {
    "logvar": lambda second: 0.5 * second,
    "log_std": lambda second: second,
}

_FORMULAS = {
    "std": "{}",
    "logvar": "exp(0.5 * {})",
    "log_std": "exp({})",
    "var": "sqrt({})",
    "softplus": "softplus({})",
}

#: Names that mean ln sigma^2.
_LOG_VARIANCE = re.compile(r"(log|ln).*(var|sq|2)", re.IGNORECASE)


@dataclass(frozen=True)
class Draw:
    """z = mean + WIDTHS[takes](width) * eps, each by its path in a call."""

    z: Source
    mean: Source
    width: Source
    takes: str

    def mu(self, call: Call) -> Tensor:
        mu: Tensor = self.mean(call)
        return mu

    def std(self, call: Call) -> Tensor:
        return WIDTHS[self.takes](at_least_float32(self.width(call)))

    def log_std(self, call: Call) -> Tensor | None:
        """Return ln sigma in float32 or better; None where it is no simple function of the tensor."""
        log_width = _LOG_WIDTHS.get(self.takes)
        return None if log_width is None else log_width(at_least_float32(self.width(call)))

    @property
    def formula(self) -> str:
        return _FORMULAS[self.takes].format(self.width.name)

    @property
    def misnamed(self) -> bool:
        """Whether sigma is exp of a tensor whose name means ln sigma^2."""
        return self.takes == "log_std" and bool(_LOG_VARIANCE.search(self.width.name.rsplit(" ", 1)[-1]))

    def __str__(self) -> str:
        return f"z is {self.z.name}, mu is {self.mean.name}, sigma is {self.formula}"


@dataclass(frozen=True, eq=False)
class Probes:
    """One output of a draw with all noise set to 0 (`mean`), to 1 (`one`) and to -4 (`four`)."""

    source: Source
    mean: Tensor
    one: Tensor
    four: Tensor

    @property
    def width(self) -> Tensor:
        """A quarter of the change from noise -4 to noise 0: sigma, if z is affine in the noise."""
        return (self.mean.double() - self.four.double()) / 4.0

    @property
    def moved(self) -> bool:
        return not torch.equal(self.mean, self.one) or not torch.equal(self.mean, self.four)

    @property
    def affine(self) -> bool:
        """Whether the output is affine in the noise."""
        small = self.one.double() - self.mean.double()
        return bool(_near(4.0 * small, 4.0 * self.width, 4.0 * self._rounding).all())

    @property
    def is_noise(self) -> bool:
        """Whether the output is the noise itself."""
        return bool((self.mean == 0.0).all() and (self.one == 1.0).all() and (self.four == -4.0).all())

    @property
    def _rounding(self) -> Tensor:
        eps = torch.finfo(self.mean.dtype).eps
        return 8.0 * eps * (self.mean.double().abs() + self.four.double().abs())


def _near(a: Tensor, b: Tensor, rounding: Tensor, within: float = 1e-3) -> Tensor:
    return (a - b).abs() <= within * b.abs() + rounding + 1e-12


def consistent(probes: Probes, candidates: Candidates) -> list[Draw]:
    """Return every formula mean + sigma * eps that fits an output's numbers, the exact ones first."""
    if not probes.affine:
        return []
    widths = [(source, takes) for source, tensor in candidates for takes in WIDTHS if _is_width(probes, tensor, takes)]
    # softplus(scale) + 1e-4 is close to softplus(scale) while sigma is large, and is the host's std exactly
    tensors = dict(candidates)
    widths.sort(key=lambda width: not _is_width(probes, tensors[width[0]], width[1], within=1e-6))
    return [
        Draw(probes.source, source, width, takes)
        for source, tensor in candidates
        if _fits(tensor, probes.mean) and source != probes.source and _equal(tensor, probes.mean, probes._rounding)
        for width, takes in widths
        if width != source
    ]


def _fits(tensor: Tensor, z: Tensor) -> bool:
    """Whether the tensor broadcasts to z, apart from leading sample axes of z."""
    tail = z.shape[z.ndim - tensor.ndim :] if 0 < tensor.ndim <= z.ndim else ()
    return tensor.ndim == len(tail) > 0 and all(a in (1, b) for a, b in zip(tensor.shape, tail, strict=True))


def _equal(tensor: Tensor, mean: Tensor, rounding: Tensor) -> bool:
    return bool(((tensor.double() - mean.double()).abs() <= rounding).all())


def _is_width(probes: Probes, tensor: Tensor, takes: str, within: float = 1e-3) -> bool:
    if not _fits(tensor, probes.mean):
        return False
    sigma = WIDTHS[takes](at_least_float32(tensor)).double()
    slack = torch.finfo(probes.mean.dtype).eps * 4.0
    # a host in half precision rounds sigma before it multiplies the noise
    rounding = probes._rounding + slack * (1.0 + tensor.double().abs()) * sigma.abs()
    return bool(_near(sigma.expand_as(probes.width), probes.width, rounding, within).all())


@torch.no_grad()
def refusal(moved: Sequence[Probes], fresh_moves: bool, others: Sequence[str], candidates: Candidates) -> str:
    """Return why no formula fits, with the measured numbers.

    Args:
        moved: The outputs that depend on normal noise.
        fresh_moves: Whether the outputs are random at all.
        others: The random operations other than normal noise.
        candidates: The tensors of the call.
    """
    if not moved and fresh_moves:
        what = f" but of {', '.join(sorted(set(others)))}" if others else ""
        return f"draws z, and not from normal noise of torch{what}: lambda is for a Gaussian z = mu + sigma * eps"
    if not moved:
        return "draws nothing while it trains: what it returns does not depend on chance"
    bent = [one for one in moved if not one.affine]
    if len(bent) == len(moved):
        return (
            f"returns {bent[0].source.name}, which is not mu + sigma * eps: four times the noise does not move it four "
            "times as far, so z has been transformed, cut or decoded already"
        )
    one = next(one for one in moved if one.affine)
    means = [source for source, t in candidates if _fits(t, one.mean) and _equal(t, one.mean, one._rounding)]
    width = float(one.width.abs().mean())
    if not means:
        return (
            f"draws {one.source.name} around a mean ({float(one.mean.flatten()[0]):.4g} first) that is none of its "
            "arguments or outputs"
        )
    return f"draws {one.source.name} with std {width:.3g} on average, {_nearest(one, candidates, means)}"


def _nearest(one: Probes, candidates: Candidates, means: Sequence[Source]) -> str:
    for source, tensor in candidates:
        if source in means or not _fits(tensor, one.mean):
            continue
        for takes, function in WIDTHS.items():
            ratio = (one.width / function(at_least_float32(tensor)).double()).flatten()
            varies = float(ratio.std()) if len(ratio) > 1 else 1.0
            if bool(ratio.isfinite().all()) and varies < 1e-3 * float(ratio.abs().mean()):
                return (
                    f"{float(ratio.mean()):.3g} times {_FORMULAS[takes].format(source.name)} "
                    f"({float(function(at_least_float32(tensor)).mean()):.3g}): another noise than it says"
                )
    spread = float(one.width.std()) if one.width.numel() > 1 else 0.0
    if spread < 1e-6 * float(one.width.abs().mean()):
        return "the same everywhere and none of its arguments or outputs: a fixed sigma has no lambda"
    names = ", ".join(dict.fromkeys(source.name for source, _ in candidates if source not in means)) or "nothing else"
    return f"which is sigma, exp, exp(0.5 *), sqrt or softplus of none of {names}"
