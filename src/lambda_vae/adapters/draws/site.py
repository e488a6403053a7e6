"""One place where a host draws z: what the draw is made of is measured, then its noise is narrowed."""

import inspect
import sys
import warnings
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from lambda_vae.adapters.draws.callers import Callers
from lambda_vae.adapters.draws.found import WIDTHS, Draw, Probes, consistent, refusal
from lambda_vae.adapters.draws.noise import Repeated, probing, repeated, undone
from lambda_vae.adapters.draws.standard import standard
from lambda_vae.adapters.draws.tensors import Source, drawables, given, put, returned
from lambda_vae.distributions.likelihood import at_least_float32
from lambda_vae.equalization import VarianceEqualizer, theory
from lambda_vae.equalization.observed import in_backward
from lambda_vae.errors import InputError

__all__ = ["DrawSite", "Watcher"]

#: (mu, sigma, z, lambda) -> z, such as a monitor's.
Watcher = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class DrawSite:
    """A method or module of a host that draws z, under an equalizer.

    Args:
        equalizer: Its lambda.
        owner: The module in whose train mode it acts.
        name: For people, such as "VAE.reparameterize".
        takes: What the caller says of the draw, to be held against what is measured.
        mask: Which examples count, without the latent axis; None counts all.
        order: Which of the draws in one call of the model, from 0; None takes them all for draws of one latent.
    """

    def __init__(
        self,
        equalizer: VarianceEqualizer,
        owner: nn.Module,
        name: str,
        *,
        takes: str | None = None,
        mask: Callable[[], Tensor | None] | None = None,
        order: int | None = None,
    ) -> None:
        self.equalizer, self.owner, self.name, self.takes, self.mask = equalizer, owner, name, takes, mask
        self.order, self.count, self.text = order, 0, "to be measured at the first training step"
        self.draws: tuple[Draw, ...] = ()
        self.later: tuple[Source, ...] = ()
        self.of_later: DrawSite | None = None
        self.settled = self.shifted = False
        self.watchers: list[Watcher] = []
        self.callers, self.foreseen = Callers(name, order), False
        self._calls, self._next_look = 0, 1

    @property
    def active(self) -> bool:
        """Whether it narrows now."""
        return self.owner.training and self.equalizer.training and not probing()

    @property
    def due(self) -> bool:
        """Whether the draw that is made now is this site's; to be asked once a draw."""
        if not self.active:
            return False
        self.count += 1
        return self.order is None or self.count == self.order + 1

    def reads(self, text: str) -> None:
        """Take note of what is known of the draw without a measurement.

        Args:
            text: For people.
        """
        self.text, self.settled = text, True

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Hand each z of a training step to a watcher, and on what it returns; return what takes it off again.

        Args:
            watcher: (mu, sigma, z, lambda) -> z.
        """
        self.watchers.append(watcher)
        return lambda: self.watchers.remove(watcher) if watcher in self.watchers else None

    def drawn(self, host: Callable[..., Any], args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """Return what the host's own draw returns, with z narrowed while it trains.

        Args:
            host: Draws.
            args: Of the call.
            named: Likewise, by name.
        """
        if not self.due:
            return host(*args, **named)
        self.look(host, args, named)
        return self.narrowed(args, named, host(*args, **named))

    def look(self, host: Callable[..., Any], args: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        """Measure the draw where that is due: until it is clear, then after 2, 4, 8, ... calls, since values change.

        Args:
            host: Draws.
            args: Of the call.
            named: Likewise, by name.

        Raises:
            InputError: It is no draw that lambda is for, or no longer the one that it was.
        """
        if torch.compiler.is_compiling():
            if not self.draws and not self.later:
                # without fullgraph=True this breaks the graph, and the step is measured and run as it is
                raise InputError(
                    f"{self.name} was not measured before it was compiled; call the model once in train mode"
                )
            return
        self._calls += 1
        if (self.settled and self._calls < self._next_look) or in_backward():
            return
        if _transformed():
            if not self.draws:
                raise InputError(
                    f"{self.name} is first called within a transform of torch.func, where nothing can be measured; "
                    "call the model once in train mode before"
                )
            return
        self._next_look = 2 * self._calls
        measured = self._measured
        if "torch._dynamo" in sys.modules:  # where a graph is broken here, the measurement is not to be compiled
            measured = torch.compiler.disable(measured)  # type: ignore[no-untyped-call]
        found = measured(host, args, named)
        if self.later:
            return
        known = () if self.foreseen else self.draws
        self.foreseen = False
        self.draws = tuple(one for one in found if one in known) if known else found
        if not self.draws:
            raise InputError(f"{self.name} draws in one step otherwise than in another, now: {found[0]}")

    def foresee(self, host: Callable[..., Any]) -> None:
        """Measure a plain sampler on made-up numbers, for where the first training step is compiled or transformed.

        What it shows holds until a real step is measured; where it shows nothing, the first real step does.

        Args:
            host: Draws; called in train mode.
        """
        shapes = _made_up_shapes(host, self.equalizer.latent_dim, self.equalizer.dim)
        with undone(self.owner), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.owner.training = True
            device = self.equalizer.exponent.device
            made_up = tuple(0.1 + torch.rand(shape, device=device) for shape in shapes)
            try:
                self.draws = self._measured(host, made_up, {}) if made_up else ()
            except Exception:  # numbers that the host does not take tell nothing
                self.draws = ()
        self.settled, self._next_look, self.foreseen, self.later = False, 1, bool(self.draws), ()

    @torch.no_grad()
    def _measured(self, host: Callable[..., Any], args: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[Draw, ...]:
        def call() -> Any:  # noqa: ANN401 - the host's own
            return host(*args, **named)

        width, axis = self.equalizer.latent_dim, self.equalizer.dim
        still = repeated(call, self.owner, 0.0)
        self.later = () if still.normal else tuple(drawables(still.out))
        if self.later and self._drawn_beside(call):
            self.later = ()  # such as (distribution, z) of another noise than normal
        if self.later:
            self.settled, self._next_look = True, sys.maxsize
            return ()
        runs = [still, *(repeated(call, self.owner, noise) for noise in (1.0, -4.0))]
        outs = [dict(returned(run.out, 0, axis)) for run in runs]
        probes = [Probes(source, mean, outs[1][source], outs[2][source]) for source, mean in outs[0].items()]
        moved = [one for one in probes if one.moved]
        candidates = [*given(host, args, named, width, axis)]
        moving = {one.source for one in moved}
        candidates += [(source, t) for source, t in returned(runs[0].out, width, axis) if source not in moving]
        found = [draw for one in moved for draw in consistent(one, candidates)]
        self._require_unused(moved, {draw.z for draw in found})
        if found:
            found = self._standard(repeated(call, self.owner, None), args, named, found)
        else:
            moves = bool(self._chancy(call))
            raise InputError(f"{self.name} {refusal(moved, moves, runs[0].other, candidates)}; {self._remedy}")
        return self._claimed(found, candidates)

    def _chancy(self, call: Callable[[], Any]) -> list[Source]:
        """The outputs that depend on chance of any kind."""
        runs = repeated(call, self.owner, None, fresh=True), repeated(call, self.owner, None)
        outs = zip(*(returned(one.out, 0, self.equalizer.dim) for one in runs), strict=True)
        return [source for (source, a), (_, b) in outs if not torch.equal(a, b)]

    def _drawn_beside(self, call: Callable[[], Any]) -> bool:
        """Whether what is returned beside distributions is drawn by chance, and they are not."""
        chancy = self._chancy(call)
        within = [one for one in chancy if any(one.steps[: len(q.steps)] == q.steps for q in self.later)]
        return bool(chancy) and not within

    def _standard(
        self, run: Repeated, args: tuple[Any, ...], named: Mapping[str, Any], found: list[Draw]
    ) -> list[Draw]:
        """Return the readings for which (z - mu) / sigma is the noise that was drawn."""
        self.shifted = run.shifted
        seen = []
        for draw in found:
            z, mu, std = (part(args, named, run.out) for part in (draw.z, draw.mu, draw.std))
            seen.append((draw, *standard(z, mu, std, self.equalizer.dim, run.noises)))
        kept = sorted((one for one in seen if one[1]), key=lambda one: round(abs(one[2] - 1.0), 3))
        if not kept:
            raise InputError(
                f"{self.name}: nearest is {found[0]}, but (z - mu) / sigma is {seen[0][2]:.3g} times the size of the "
                f"normal noise that is drawn, or made of it: it is averaged, cut or scaled before; {self._remedy}"
            )
        return [draw for draw, *_ in kept]

    def _require_unused(self, moved: list[Probes], z: set[Any]) -> None:
        """Raise if what is returned beside z was made of z, which would keep the noise of sigma."""
        used = [one.source.name for one in moved if one.source not in z and not one.is_noise]
        if z and used:
            raise InputError(
                f"{self.name} has used z already when it returns it: {used[0]} depends on its noise too; name the "
                "method or part that only draws: equalize(..., method='NAME')"
            )

    @torch.no_grad()
    def _claimed(self, found: list[Draw], candidates: Any) -> tuple[Draw, ...]:  # noqa: ANN401 - sources and tensors
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
        self.settled = bool(varied) or len(right) == 1
        return tuple(varied or right)

    @staticmethod
    def _fixed(right: list[Draw], tensors: Mapping[Source, Tensor]) -> Draw | None:
        """The reading whose sigma is a constant that no gradient reaches, if all readings' are."""
        fixed = [
            draw
            for draw in right
            if tensors[draw.mean].requires_grad
            and not tensors[draw.width].requires_grad
            and bool(tensors[draw.width].min() == tensors[draw.width].max())
        ]
        return fixed[0] if len(fixed) == len(right) else None

    @property
    def _remedy(self) -> str:
        return "draw z = equalizer(mu, std) with the equalizer itself, or name another place: equalize(..., method=)"

    def narrowed(self, args: tuple[Any, ...], named: Mapping[str, Any], out: Any) -> Any:  # noqa: ANN401 - the host's
        """Return what the host returned, with z narrowed; the very same where lambda is 1 and nobody watches.

        Args:
            args: Of the call.
            named: Likewise, by name.
            out: What it returned.
        """
        if self.later:
            for source in drawables(out):
                self._hold(source(args, named, out))
            return out
        draw = self.draws[0]
        try:
            z, mu, std = draw.z(args, named, out), draw.mu(args, named, out), draw.std(args, named, out)
        except (AttributeError, IndexError, KeyError, TypeError):
            raise InputError(
                f"{self.name} is called or answers in one step otherwise than in another, where {draw}; name a method "
                "or part that is always called alike: equalize(..., method='NAME')"
            ) from None
        narrow = self.seen(mu, std, z)
        return out if narrow is z else put(out, draw.z.steps, narrow)

    def _hold(self, posterior: Any) -> None:  # noqa: ANN401 - a distribution, of whatever library
        """Have what is drawn from a distribution later narrowed; its type and its numbers stay the host's."""
        if self.of_later is None:
            self.of_later = DrawSite(
                self.equalizer, self.owner, f"what {self.name} returns", takes=self.takes, mask=self.mask
            )
            self.of_later.watchers = self.watchers
        for name in ("rsample", "sample"):
            if callable(getattr(posterior, name, None)):
                setattr(posterior, name, _Later(self.of_later, posterior, name))

    def seen(self, mu: Tensor, std: Tensor, z: Tensor) -> Tensor:
        """Return z with the noise of sigma^lambda; observe sigma, once a step.

        Args:
            mu: Of the draw.
            std: Likewise.
            z: Drawn by the host from them.
        """
        equalizer = self.equalizer
        if not torch.compiler.is_compiling():
            _require_first(self.name, z)
        width = std.shape[equalizer.dim] if -std.ndim <= equalizer.dim < std.ndim else 0
        if width != equalizer.latent_dim:
            raise InputError(
                f"{self.name} draws {width} dimensions with sigma {list(std.shape)}, where latent_dim is "
                f"{equalizer.latent_dim} along axis {equalizer.dim}; give latent_dim={width}, or dim=, or, if it draws "
                "other things too, say which draw of a call is z: draw=0"
            )
        if not torch.compiler.is_compiling():
            self.callers.note(std, equalizer.dim)
        mask = None if self.mask is None else self.mask()
        equalizer.observe(std, mu, *(() if mask is None else (mask,)))
        narrow = z
        if not z.requires_grad or self.shifted:  # a draw without a gradient stays one
            mu, std = mu.detach(), std.detach()
        if equalizer.narrows:
            factor = theory.narrowing(std, equalizer.exponent_for(std))
            mean = at_least_float32(mu)
            narrow = torch.where(factor == 1.0, z, (mean + factor * (at_least_float32(z) - mean)).to(z.dtype))
        for watcher in self.watchers:
            narrow = watcher(mu, std, narrow, equalizer.exponent)
        if not torch.compiler.is_compiling():
            _LAST[:] = [weakref.ref(narrow), self.name]
        return narrow

    def __repr__(self) -> str:
        if self.of_later is not None:
            return repr(self.of_later)
        return f"{self.name}: {self.draws[0] if self.draws else self.text}"


class _Later:
    """A draw from a distribution that the host returned, under a site."""

    drawing = False

    def __init__(self, site: DrawSite, posterior: Any, name: str) -> None:  # noqa: ANN401 - of whatever library
        self.site, self.posterior, self.host = site, posterior, getattr(posterior, name)

    def __call__(self, *args: Any, **named: Any) -> Any:  # noqa: ANN401 - the host's own
        if _Later.drawing:  # `sample` may be made of `rsample`
            return self.host(*args, **named)
        _Later.drawing = True
        try:
            return self.site.drawn(self._draw, (self.posterior, *args), named)
        finally:
            _Later.drawing = False

    def _draw(self, posterior: object, *args: Any, **named: Any) -> Any:  # noqa: ANN401 - the host's own
        return self.host(*args, **named)


#: The z that was handed on last, and by whom.
_LAST: list[Any] = []


def _require_first(name: str, z: Tensor) -> None:
    """Raise if z has been narrowed already, as where a method and the part that it belongs to are both taken."""
    if _LAST and _LAST[0]() is z:
        raise InputError(
            f"{name} returns the z that {_LAST[1]} has narrowed already; remove one of both: equalizer.remove()"
        )


def _made_up_shapes(host: Callable[..., Any], width: int, axis: int) -> list[tuple[int, ...]]:
    """The shapes of mu and width, or of both in one tensor, that a sampler of so many arguments may take."""
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


def _transformed() -> bool:
    """Whether a transform of torch.func is at work, in which nothing can be measured."""
    return torch._C._functorch.peek_interpreter_stack() is not None
