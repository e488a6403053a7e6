"""z as the input of a host's part, where it is drawn in the middle of other code: identified by its statistics."""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lambda_vae.distributions.base import at_least_float32
from lambda_vae.equalizing.draws.found import WIDTHS, Draw
from lambda_vae.equalizing.draws.hooks import DrawHook
from lambda_vae.equalizing.draws.site import DrawSite
from lambda_vae.equalizing.draws.tensors import Call, Source, given, put, returned
from lambda_vae.errors import InputError

__all__ = ["InputHook"]

#: Numbers that must agree before a formula is accepted, numbers that are checked, and tolerated standard errors.
_ENOUGH, _ALL, _ERRORS = 4000, 100_000, 6.0

#: A formula under which the draws are less likely by so many nats than under another is rejected.
_UNLIKELY = 20.0

#: Draws that lambda should have narrowed, without a formula, before the user is warned.
_PATIENCE = 100


@dataclass
class _Standard:
    """Sums of r = (z - mu) / sigma, to test whether it is standard normal."""

    axis: int
    count: float = 0.0
    examples: float = 0.0
    sums: list[float] = field(default_factory=lambda: [0.0] * 5)
    shared: float = 0.0
    log_prob: float = 0.0

    def add(self, r: Tensor, log_sigma: Tensor) -> None:
        """Add a batch; the last sum is the covariance of r^2 and ln sigma, 0 for the right sigma.

        `shared` is of (the sum of r over the dimensions)^2, D if no two dimensions share noise.
        """
        self.shared += float(r.sum(self.axis).square().sum() / r.shape[self.axis])
        self.examples += r.numel() / r.shape[self.axis]
        self.log_prob -= float(0.5 * r.square().sum() + log_sigma.sum())
        squares = r.square()
        spread = log_sigma - log_sigma.mean()
        spread = spread / spread.square().mean().sqrt().clamp(min=1e-6) if float(spread.abs().max()) > 1e-3 else 0.0 * r
        new = torch.stack(
            [r.sum(), squares.sum(), (r * squares).sum(), squares.square().sum(), ((squares - 1) * spread).sum()]
        )
        self.sums = [a + b for a, b in zip(self.sums, new.tolist(), strict=True)]
        self.count += r.numel()

    @property
    def fits(self) -> bool:
        """Whether the moments are those of N(0, 1), and r^2 is uncorrelated with sigma."""
        n, examples = self.count, max(1.0, self.examples)
        expected = zip(self.sums, (0.0, 1.0, 0.0, 3.0, 0.0), (1.0, 2.0, 15.0, 96.0, 2.0), strict=True)  # mean, variance
        return abs(self.shared / examples - 1.0) <= _ERRORS * (2.0 / examples) ** 0.5 and all(
            math.isfinite(s) and abs(s / n - mean) <= _ERRORS * (var / n) ** 0.5 + 1e-3 for s, mean, var in expected
        )

    @property
    def bent(self) -> float:
        """Deviation of r from normal, whatever its scale."""
        if not self.count or not 0.0 < self.sums[1] < math.inf:
            return math.inf
        mean, square, _, fourth, _ = (total / self.count for total in self.sums)
        return float(abs(fourth / square**2 - 3.0) + abs(mean) / square**0.5)

    @property
    def rms(self) -> float:
        """Root mean square of r, 1 for the right sigma."""
        return (self.sums[1] / self.count) ** 0.5 if self.count else math.nan


class InputHook(DrawHook):
    """Narrows the input of a host's part; mu and sigma are in the output of another part, the posterior.

    The draw in between cannot be repeated, so its formula is inferred from the draws of the first training steps: of
    all formulas the one is kept for which (z - mu) / sigma is standard normal.
    """

    def __init__(self, site: DrawSite, owner: nn.Module, posterior: nn.Module, model: nn.Module) -> None:
        super().__init__(site, model, counted=site.order is not None)
        self.out: Any = None
        self.readings: dict[Draw, _Standard] = {}
        self.sure = self.alike = False
        self.handles = [
            posterior.register_forward_hook(self.keep),
            owner.register_forward_pre_hook(self, with_kwargs=True, prepend=True),
        ]

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "out": None}  # the original's

    def keep(self, posterior: nn.Module, args: tuple[Any, ...], out: Any) -> None:
        self.out = out if self.site.active and posterior.training else None

    def __call__(self, owner: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Return the part's arguments with z narrowed; None to keep them."""
        site, out = self.site, self.out
        if out is not None:
            self.require_own_call()
        if out is None or not site.due:
            return None
        self.out = None  # a second call in the same step has another input, such as codes from the prior
        call = Call(args, named, out)
        if torch.compiler.is_compiling():
            if not site.settled:  # without fullgraph=True the graph breaks here, and the step runs uncompiled
                raise InputError(f"{site.name} is not read yet; train some steps before torch.compile(fullgraph=True)")
        elif not self.sure and not self._read(owner, call):
            return None
        draw = site.draws[0]
        if not self.alike:  # the likeliest of several formulas with different sigmas is good enough to observe
            site.observe(draw.std(call), draw.mu(call))
            site.unread += site.equalizer.narrows
            if site.unread == _PATIENCE:
                warnings.warn(site.unread_note, stacklevel=2)
            return None
        z = draw.z(call)
        narrow = site.seen(draw.mu(call), draw.std(call), z)
        if narrow is z:
            return None
        if draw.z.position is not None and draw.z.position < len(args):
            return put(args, (("item", draw.z.position), *draw.z.steps), narrow), named
        return args, put(dict(named), (("item", draw.z.keyword), *draw.z.steps), narrow)

    @torch.no_grad()
    def _read(self, owner: nn.Module, call: Call) -> bool:
        """Use a batch; False if it is empty or not finite, as one that a gradient scaler skips."""
        equalizer = self.site.equalizer
        candidates = dict(returned(call.out, equalizer.latent_dim, equalizer.dim))
        zs = dict(given(owner.forward, call, 0, equalizer.dim))
        if not all(one.numel() and bool(one.isfinite().all()) for one in (*candidates.values(), *zs.values())):
            return False
        if not self.readings:
            self.readings = {draw: _Standard(equalizer.dim) for draw in _all_readings(zs, candidates, self.site.takes)}
        known = {**self.readings}
        for draw, seen in known.items():
            if seen.count and not seen.fits:
                continue
            mean, z = candidates[draw.mean], zs[draw.z]
            sigma = WIDTHS[draw.takes](at_least_float32(candidates[draw.width])).expand_as(mean)
            seen.add(((at_least_float32(z) - at_least_float32(mean)) / sigma).double(), sigma.double().log())
        left = dict(self._left(candidates))
        if not left:
            raise InputError(
                f"{self.site.name} {self._nearest(known)}; draw z with the equalizer itself, z = equalizer(mu, std)"
            )
        self.site.draws = tuple(left)
        # torch.normal(mu, std) passes no gradient
        self.site.shifted = type(zs[self.site.draws[0].z].grad_fn).__name__.startswith("NormalBackward")
        sigmas = list(left.values())
        self.alike = all(bool(torch.allclose(one, sigmas[0], rtol=1e-2)) for one in sigmas)
        varied = bool(sigmas[0].min() < 0.98 * sigmas[0].max())
        count = known[self.site.draws[0]].count
        self.site.settled = self.alike and (varied or len(left) == 1) and count >= _ENOUGH
        self.sure = self.site.settled and count >= _ALL
        return True

    def _left(self, candidates: dict[Source, Tensor]) -> Iterator[tuple[Draw, Tensor]]:
        fitting = {draw: seen for draw, seen in self.readings.items() if seen.fits}
        best = max((seen.log_prob for seen in fitting.values()), default=0.0)
        for draw, seen in sorted(fitting.items(), key=lambda one: -one[1].log_prob):
            if seen.log_prob > best - _UNLIKELY:
                yield draw, WIDTHS[draw.takes](at_least_float32(candidates[draw.width]))

    def _nearest(self, known: dict[Draw, _Standard]) -> str:
        if not known:
            return "is of another shape than any mu that its posterior returns"
        draw, seen = min(known.items(), key=lambda one: one[1].bent)
        return (
            f"is not mu + sigma * eps of what its posterior returns: nearest is {draw}, for which (z - mu) / sigma has "
            f"the size {seen.rms:.3g} where 1 is due"
        )

    @staticmethod
    def held(owner: nn.Module, method: str | None) -> list[DrawSite]:
        return [one.site for one in owner._forward_pre_hooks.values() if isinstance(one, InputHook)]


def _all_readings(zs: dict[Source, Tensor], candidates: dict[Source, Tensor], told: str | None) -> Iterator[Draw]:
    for z, drawn in zs.items():
        for mean, mu in candidates.items():
            if mu.shape != drawn.shape:
                continue
            for width, tensor in candidates.items():
                if width == mean or tensor.shape != drawn.shape:
                    continue
                yield from (Draw(z, mean, width, takes) for takes in ((told,) if told else WIDTHS))
