"""What a draw is made of: which tensor is mu, which function of which tensor is sigma, and which output is z."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lambda_vae.distributions.base import at_least_float32
from lambda_vae.equalizing.draws.tensors import Call, Source

__all__ = ["WIDTHS", "Draw", "Probes", "consistent", "refusal"]

Named = Sequence[tuple[Source, Tensor]]

#: By the name that `takes` has for the tensor, sigma of it.
WIDTHS: dict[str, Callable[[Tensor], Tensor]] = {
    "std": lambda second: second,
    "logvar": lambda second: torch.exp(0.5 * second),
    "log_std": torch.exp,
    "var": torch.sqrt,
    "softplus": F.softplus,
}

#: Where the tensor is nearer to ln sigma than to sigma, how ln sigma comes of it.
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

#: A name that says ln sigma^2.
_LOG_VARIANCE = re.compile(r"(log|ln).*(var|sq|2)", re.IGNORECASE)


@dataclass(frozen=True)
class Draw:
    """z = mean + WIDTHS[takes](width) * eps.

    Args:
        z: Where z is returned.
        mean: Where mu is.
        width: Where the tensor is that sigma is a function of.
        takes: Which function.
    """

    z: Source
    mean: Source
    width: Source
    takes: str

    def mu(self, call: Call) -> Tensor:
        """Return mu of a call."""
        mu: Tensor = self.mean(call)
        return mu

    def std(self, call: Call) -> Tensor:
        """Return sigma of a call, in float32 at least."""
        return WIDTHS[self.takes](at_least_float32(self.width(call)))

    def log_std(self, call: Call) -> Tensor | None:
        """Return ln sigma of a call where that is at hand, in float32 at least; else None."""
        log_width = _LOG_WIDTHS.get(self.takes)
        return None if log_width is None else log_width(at_least_float32(self.width(call)))

    @property
    def formula(self) -> str:
        """sigma, as a person writes it."""
        return _FORMULAS[self.takes].format(self.width.name)

    @property
    def misnamed(self) -> bool:
        """Whether the host draws with exp of what its name calls ln sigma^2."""
        return self.takes == "log_std" and bool(_LOG_VARIANCE.search(self.width.name.rsplit(" ", 1)[-1]))

    def __str__(self) -> str:
        return f"z is {self.z.name}, mu is {self.mean.name}, sigma is {self.formula}"


@dataclass(frozen=True, eq=False)
class Probes:
    """One output of a draw with its noise at 0, 1 and -4.

    Args:
        source: Which output.
        mean: At 0.
        one: At 1.
        four: At -4.
    """

    source: Source
    mean: Tensor
    one: Tensor
    four: Tensor

    @property
    def width(self) -> Tensor:
        """The change from noise -4 to noise 0, over 4: sigma, if z is affine in the noise."""
        return (self.mean.double() - self.four.double()) / 4.0

    @property
    def moved(self) -> bool:
        """Whether it depends on the noise."""
        return not torch.equal(self.mean, self.one) or not torch.equal(self.mean, self.four)

    @property
    def affine(self) -> bool:
        """Whether four times the noise moves it by four times as much, the other way."""
        small = self.one.double() - self.mean.double()
        return bool(_near(4.0 * small, 4.0 * self.width, 4.0 * self._rounding).all())

    @property
    def is_noise(self) -> bool:
        """Whether it is the standard normal noise itself."""
        return bool((self.mean == 0.0).all() and (self.one == 1.0).all() and (self.four == -4.0).all())

    @property
    def _rounding(self) -> Tensor:
        eps = torch.finfo(self.mean.dtype).eps
        return 8.0 * eps * (self.mean.double().abs() + self.four.double().abs())


def _near(a: Tensor, b: Tensor, rounding: Tensor, within: float = 1e-3) -> Tensor:
    return (a - b).abs() <= within * b.abs() + rounding + 1e-12


def consistent(probes: Probes, candidates: Named) -> list[Draw]:
    """Return every reading of an output as mean + sigma * eps that its numbers allow, the exact ones first."""
    if not probes.affine:
        return []
    widths = [(source, takes) for source, tensor in candidates for takes in WIDTHS if _is_width(probes, tensor, takes)]
    # softplus(scale) + 1e-4 is softplus(scale) nearly, as long as sigma is large, and what the host calls std exactly
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
    """Whether the tensor broadcasts to z, which may have sample axes before the tensor's own."""
    tail = z.shape[z.ndim - tensor.ndim :] if 0 < tensor.ndim <= z.ndim else ()
    return tensor.ndim == len(tail) > 0 and all(a in (1, b) for a, b in zip(tensor.shape, tail, strict=True))


def _equal(tensor: Tensor, mean: Tensor, rounding: Tensor) -> bool:
    return bool(((tensor.double() - mean.double()).abs() <= rounding).all())


def _is_width(probes: Probes, tensor: Tensor, takes: str, within: float = 1e-3) -> bool:
    if not _fits(tensor, probes.mean):
        return False
    sigma = WIDTHS[takes](at_least_float32(tensor)).double()
    slack = torch.finfo(probes.mean.dtype).eps * 4.0
    # what the host computes in half precision is rounded before the noise is multiplied
    rounding = probes._rounding + slack * (1.0 + tensor.double().abs()) * sigma.abs()
    return bool(_near(sigma.expand_as(probes.width), probes.width, rounding, within).all())


@torch.no_grad()
def refusal(moved: Sequence[Probes], fresh_moves: bool, others: Sequence[str], candidates: Named) -> str:
    """Return why no reading fits, with what was seen.

    Args:
        moved: The outputs that depend on normal noise.
        fresh_moves: Whether the outputs depend on chance at all.
        others: The other random operations.
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


def _nearest(one: Probes, candidates: Named, means: Sequence[Source]) -> str:
    for source, tensor in candidates:
        if source in means or not _fits(tensor, one.mean):
            continue
        for takes, function in WIDTHS.items():
            ratio = (one.width / function(at_least_float32(tensor)).double()).flatten()
            if bool(ratio.isfinite().all()) and float(ratio.std() if len(ratio) > 1 else 1.0) < 1e-3 * float(
                ratio.abs().mean()
            ):
                return (
                    f"{float(ratio.mean()):.3g} times {_FORMULAS[takes].format(source.name)} "
                    f"({float(function(at_least_float32(tensor)).mean()):.3g}): another noise than it says"
                )
    spread = float(one.width.std()) if one.width.numel() > 1 else 0.0
    if spread < 1e-6 * float(one.width.abs().mean()):
        return "the same everywhere and none of its arguments or outputs: a fixed sigma has no lambda"
    names = ", ".join(dict.fromkeys(source.name for source, _ in candidates if source not in means)) or "nothing else"
    return f"which is sigma, exp, exp(0.5 *), sqrt or softplus of none of {names}"
