"""Measures the formula of a draw: the call is repeated with other noise, and its numbers are compared."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lambda_vae.equalizing.draws.found import WIDTHS, Candidates, Draw, Probes, consistent, refusal
from lambda_vae.equalizing.draws.noise import Repeated, repeated
from lambda_vae.equalizing.draws.standard import standard
from lambda_vae.equalizing.draws.tensors import Call, Source, drawables, given, returned
from lambda_vae.errors import InputError

__all__ = ["Measurement", "Measuring", "made_up_shapes"]

_REMEDY = "draw z = equalizer(mu, std) with the equalizer itself, or name another place: equalize(..., method=)"


@dataclass(frozen=True)
class Measurement:
    """The result of one measured call.

    Args:
        draws: The formulas that fit its numbers, the likeliest first.
        later: The distributions in its output that z is drawn from later.
        settled: Whether further calls can show nothing new.
        shifted: Whether the noise has its own mean and std, as in `torch.normal(mu, std)`, which passes no gradient.
    """

    draws: tuple[Draw, ...]
    later: tuple[Source, ...] = ()
    settled: bool = False
    shifted: bool = False


@dataclass(frozen=True, eq=False)
class Measuring:
    """Measures the draws of one site."""

    name: str
    owner: nn.Module
    width: int
    axis: int
    takes: str | None

    @torch.no_grad()
    def __call__(self, host: Callable[..., Any], step: Call) -> Measurement | None:
        """Return the formula of a draw; the generators, and the owner's buffers and attributes, are restored.

        None if a call shows nothing: it is empty, has no values (on the meta device), is not finite (as in a step that
        a gradient scaler skips), or is the one in which lazy layers are made.

        Raises:
            InputError: It is not mu + sigma * eps.
        """

        def call() -> Any:
            return host(*step.args, **step.named)

        if any(is_lazy(one) for one in self.owner.parameters()):
            return None
        width, axis = self.width, self.axis
        noiseless = repeated(call, self.owner, 0.0)
        later = () if noiseless.normal else tuple(drawables(noiseless.out))
        if later and not self._drawn_besides(call, later):  # unlike (distribution, z) with noise that is not normal
            return Measurement((), later, settled=True)
        runs = [noiseless, *(repeated(call, self.owner, noise) for noise in (1.0, -4.0))]
        outs = [dict(returned(run.out, 0, axis)) for run in runs]
        if outs[0] and all(one.is_meta or not one.numel() for one in outs[0].values()):
            return None
        probes = [Probes(source, mean, outs[1][source], outs[2][source]) for source, mean in outs[0].items()]
        moved = [one for one in probes if one.moved]
        candidates = [*given(host, step, width, axis)]
        moving = {one.source for one in moved}
        candidates += [(source, t) for source, t in returned(runs[0].out, width, axis) if source not in moving]
        found = [draw for one in moved for draw in consistent(one, candidates)]
        self._require_unused(moved, {draw.z for draw in found})
        if found:
            run = repeated(call, self.owner, None)
            return self._claimed(self._standard(run, step, found), candidates, run.shifted)
        if not all(bool(one.mean.isfinite().all()) for one in moved):
            return None
        moves = bool(self._random(call))
        raise InputError(f"{self.name} {refusal(moved, moves, runs[0].other, candidates)}; {_REMEDY}")

    def _random(self, call: Callable[[], Any]) -> list[Source]:
        """The outputs that are random in any way."""
        runs = repeated(call, self.owner, None, fresh=True), repeated(call, self.owner, None)
        outs = zip(*(returned(one.out, 0, self.axis) for one in runs), strict=True)
        return [source for (source, a), (_, b) in outs if not torch.equal(a, b)]

    def _drawn_besides(self, call: Callable[[], Any], later: tuple[Source, ...]) -> bool:
        """Whether other outputs than these distributions are random, and they are not."""
        random = self._random(call)
        within = [one for one in random if any(one.steps[: len(q.steps)] == q.steps for q in later)]
        return bool(random) and not within

    def _standard(self, run: Repeated, step: Call, found: list[Draw]) -> list[Draw]:
        """Return the formulas for which (z - mu) / sigma is the noise that was drawn."""
        seen = []
        for draw in found:
            z, mu, std = (part(step._replace(out=run.out)) for part in (draw.z, draw.mu, draw.std))
            seen.append((draw, *standard(z, mu, std, self.axis, run.noises)))
        kept = sorted((one for one in seen if one[1]), key=lambda one: round(abs(one[2] - 1.0), 3))
        if not kept:
            raise InputError(
                f"{self.name}: nearest is {found[0]}, but (z - mu) / sigma is {seen[0][2]:.3g} times the size of the "
                f"normal noise that is drawn, or made of it: it is averaged, cut or scaled before; {_REMEDY}"
            )
        return [draw for draw, *_ in kept]

    def _require_unused(self, moved: list[Probes], z: set[Any]) -> None:
        """Raise if another output depends on z, and so has the noise of sigma."""
        used = [one.source.name for one in moved if one.source not in z and not one.is_noise]
        if z and used:
            raise InputError(
                f"{self.name} has used z already when it returns it: {used[0]} depends on its noise too; name the "
                "method or part that only draws: equalize(..., method='NAME')"
            )

    def _claimed(self, found: list[Draw], candidates: Candidates, shifted: bool) -> Measurement:
        """Check the formulas against `takes`, a tensor's name, and fixed sigmas."""
        tensors = dict(candidates)
        right = [draw for draw in found if self.takes in (None, draw.takes)]
        first = right[0] if right else found[0]
        if not right or (first.misnamed and self.takes is None):
            said = replace(first, takes=self.takes or "logvar")
            seen, told = (float(WIDTHS[one.takes](tensors[one.width]).mean()) for one in (first, said))
            raise InputError(
                f"{self.name} draws with sigma = {first.formula}, {seen:.3g} on average, where "
                f"{f'takes={self.takes!r}' if self.takes else 'its name'} says {said.formula}, {told:.3g}; if the KL "
                f"is that of {first.formula}, say takes={first.takes!r}; if not, mend the draw"
            )
        varied = [
            draw
            for draw in right
            if all(bool(tensors[one].min() != tensors[one].max()) for one in (draw.mean, draw.width))
        ]
        if not varied and (fixed := self._fixed(right, tensors)):
            raise InputError(
                f"{self.name} draws with {fixed.formula}, {float(tensors[fixed.width].max()):.3g} everywhere and not "
                "learned: a fixed sigma has no lambda; leave it out, or learn sigma"
            )
        return Measurement(tuple(varied or right), settled=bool(varied) or len(right) == 1, shifted=shifted)

    @staticmethod
    def _fixed(right: list[Draw], tensors: Mapping[Source, Tensor]) -> Draw | None:
        """The first formula, if in every one sigma is a constant without a gradient."""
        fixed = [
            draw
            for draw in right
            if tensors[draw.mean].requires_grad
            and not tensors[draw.width].requires_grad
            and bool(tensors[draw.width].min() == tensors[draw.width].max())
        ]
        return fixed[0] if len(fixed) == len(right) else None


def made_up_shapes(host: Callable[..., Any], width: int, axis: int) -> list[tuple[int, ...]]:
    """Return shapes of mu and sigma, or of both in one tensor, by the number of a sampler's arguments."""
    try:
        every = inspect.signature(host).parameters.values()
    except (TypeError, ValueError):
        return []
    needed = sum(one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD for one in every)
    channels = width * (3 - needed)
    if needed not in (1, 2) or axis < -1:
        return []
    shape = (7, channels) if axis == -1 else (3,) * axis + (channels, 3, 3)
    return [shape] * needed
