"""One draw of z in a host: it is measured, sigma is observed, and the noise is narrowed."""

import sys
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lambda_vae.distributions.base import at_least_float32
from lambda_vae.equalization import VarianceEqualizer, theory
from lambda_vae.equalization.observed import in_backward
from lambda_vae.equalizing.draws.callers import Callers
from lambda_vae.equalizing.draws.densities import watch_densities
from lambda_vae.equalizing.draws.found import Draw
from lambda_vae.equalizing.draws.later import hold
from lambda_vae.equalizing.draws.measure import Measurement, Measuring, made_up_shapes
from lambda_vae.equalizing.draws.noise import probing
from lambda_vae.equalizing.draws.put_back import undone
from lambda_vae.equalizing.draws.tensors import Call, Source, drawables, put
from lambda_vae.errors import InputError

__all__ = ["DrawSite", "Watcher"]

#: (mu, sigma, z, lambda) -> z, such as a monitor's.
Watcher = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class DrawSite:
    """A method or module of a host that draws z, and the equalizer that narrows the draw.

    Args:
        equalizer: Of this latent.
        owner: The module in whose train mode it acts.
        name: In messages, such as "VAE.reparameterize".
        takes: The caller's parametrisation of sigma, to be checked against the measured one.
        mask: Which examples count, without the latent axis; None counts all.
        order: Number of the draw within one call of the model, from 0; None if all draws are of one latent.
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
        self.unit: Callable[[], Tensor] | None = None  # -> the prior's own std, [D], where that is not 1
        self.kept: tuple[str, ...] = ()  # attributes in which the owner stores z for later use
        self.asks: Callable[[], bool] | None = None  # -> whether the current draw is this site's, of several
        self.callers: Callers | None = Callers(name, order)  # None if all lines draw one latent
        self.foreseen = False
        self._calls, self._next_look = 0, 1
        self.unread = 0  # draws that lambda should have narrowed while several formulas of sigma fitted

    @property
    def unread_note(self) -> str:
        """A sentence on draws that were not narrowed since several formulas of sigma fitted."""
        kinds = " and ".join(sorted({f"{draw.takes} of {draw.width}" for draw in self.draws}))
        return (
            f"{self.name}: {self.unread} draws that lambda should have narrowed were left as they were, for sigma may "
            f"be {kinds}; say which, such as takes={self.draws[0].takes!r}"
        )

    @property
    def active(self) -> bool:
        return self.owner.training and self.equalizer.training and not probing()

    @property
    def due(self) -> bool:
        """Whether the current draw is this site's; read once a draw, since it counts them."""
        if not self.active:
            return False
        self.count += 1
        return self.order in (None, self.count - 1) and (self.asks is None or self.asks())

    def reads(self, text: str) -> None:
        """Set the description of a draw that needs no measurement."""
        self.text, self.settled = text, True

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Pass each z of a training step through a watcher; return a function that removes it."""
        self.watchers.append(watcher)
        return lambda: self.watchers.remove(watcher) if watcher in self.watchers else None

    def drawn(self, host: Callable[..., Any], call: Call) -> Any:
        """Call the host's draw; return its output with z narrowed in training."""
        if not self.due:
            return host(*call.args, **call.named)
        self.look(host, call)
        return self.narrowed(call._replace(out=host(*call.args, **call.named)))

    def look(self, host: Callable[..., Any], call: Call) -> None:
        """Measure the draw until its formula is unambiguous, then again after 2, 4, 8, ... calls.

        Raises:
            InputError: It is not mu + sigma * eps, or its formula has changed.
        """
        if torch.compiler.is_compiling():
            if not self.draws and not self.later:
                # without fullgraph=True this breaks the graph, and the step is measured and run uncompiled
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
        measuring: Callable[..., Measurement | None] = self._measuring
        if "torch._dynamo" in sys.modules:  # the measurement itself is not compiled where the graph breaks here
            measuring = torch.compiler.disable(measuring)  # type: ignore[no-untyped-call]
        seen = measuring(host, call)
        if seen is None:  # measured again in the next step
            self._next_look = self._calls
            return
        self.later, self.settled, self.shifted = seen.later, seen.settled, seen.shifted
        if self.later:
            self._next_look = sys.maxsize
            return
        known = () if self.foreseen else self.draws
        self.foreseen = False
        self.draws = tuple(one for one in seen.draws if one in known) if known else seen.draws
        if not self.draws:
            raise InputError(f"{self.name} draws in one step otherwise than in another, now: {seen.draws[0]}")

    def foresee(self, host: Callable[..., Any]) -> None:
        """Measure a plain sampler on made-up numbers, in case the first training step is compiled or transformed.

        The result, if there is one, holds until a real step is measured.
        """
        shapes = made_up_shapes(host, self.equalizer.latent_dim, self.equalizer.dim)
        with undone(self.owner), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.owner.training = True
            device = self.equalizer.exponent.device
            made_up = tuple(0.1 + torch.rand(shape, device=device) for shape in shapes)
            try:
                seen = self._measuring(host, Call(made_up, {})) if made_up else None
                self.draws = () if seen is None else seen.draws
            except Exception:  # the host does not take these numbers
                self.draws = ()
        self.foreseen = bool(self.draws)

    @property
    def _measuring(self) -> Measuring:
        return Measuring(self.name, self.owner, self.equalizer.latent_dim, self.equalizer.dim, self.takes)

    def narrowed(self, call: Call) -> Any:
        """Return the host's output with z narrowed; the same object where lambda is 1 and there is no watcher."""
        out = call.out
        if self.later:
            self._hold(out)
        if self.later or not self.draws:  # not measured yet
            return out
        draw = self.draws[0]
        log_std = None
        try:
            z, mu = draw.z(call), draw.mu(call)
            if self.equalizer.narrows and not self.watchers:
                log_std = draw.log_std(call)
            # where ln sigma narrows, or nothing does, no gradient goes through sigma itself
            needed = bool(self.watchers) or (self.equalizer.narrows and log_std is None)
            with torch.set_grad_enabled(needed and torch.is_grad_enabled()):
                std = draw.std(call)
        except (AttributeError, IndexError, KeyError, TypeError):
            raise InputError(
                f"{self.name} is called or answers in one step otherwise than in another, where {draw}; name a method "
                "or part that is always called alike: equalize(..., method='NAME')"
            ) from None
        narrow = self.seen(mu, std, z, log_std)
        if not torch.compiler.is_compiling():
            self.kept = tuple(name for name, value in vars(self.owner).items() if value is z)
        if narrow is z:
            return out
        for name in self.kept:
            setattr(self.owner, name, narrow)
        return put(out, draw.z.steps, narrow)

    def _hold(self, out: Any) -> None:
        """Narrow later draws from the distributions in the host's output."""
        if self.of_later is None:
            name = f"what {self.name} returns"
            self.of_later = DrawSite(self.equalizer, self.owner, name, takes=self.takes, mask=self.mask)
            self.of_later.watchers = self.watchers
        for source in drawables(out):
            hold(source(Call((), {}, out)), self.of_later.drawn)

    def observe(self, std: Tensor, mu: Tensor) -> None:
        """Add sigma to the equalizer's statistics, where the mask counts it."""
        self.equalizer.observe(std, mu, None if self.mask is None else self.mask())

    def seen(self, mu: Tensor, std: Tensor, z: Tensor, log_std: Tensor | None = None) -> Tensor:
        """Return z with the noise of sigma^lambda, and observe sigma."""
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
        if self.callers is not None and not torch.compiler.is_compiling():
            self.callers.note(std, equalizer.dim)
        unit = 1.0 if self.unit is None else self.unit()
        self.observe(*((std, mu) if isinstance(unit, float) else (std / unit, mu / unit)))
        narrow = z
        if not z.requires_grad or self.shifted:  # a draw without a gradient stays one
            mu, std, log_std = mu.detach(), std.detach(), None
        if equalizer.narrows:
            exponent = equalizer.exponent_for(std)
            own = std
            if isinstance(unit, Tensor):  # lambda is that of the same codes with the prior N(0, I)
                own, log_std = std / unit, None if log_std is None else log_std - unit.log()
            factor = theory.narrowing(own, exponent) if log_std is None else theory.narrowing_of_log(log_std, exponent)
            # where the factor is 1, lerp returns its end bit for bit: the host's own z
            wide, mean = at_least_float32(z), at_least_float32(mu)
            narrow = torch.lerp(mean.to(wide.dtype), wide, factor.to(wide.dtype)).to(z.dtype)
        for watcher in self.watchers:
            narrow = watcher(mu, std, narrow, equalizer.exponent)
        if not torch.compiler.is_compiling():
            if equalizer.narrows and not _transformed():
                watch_densities(equalizer, self.name, mu, narrow)
            _LAST[:] = [weakref.ref(narrow), self.name]
        return narrow

    def __repr__(self) -> str:
        if self.of_later is not None:
            return repr(self.of_later)
        return f"{self.name}: {self.draws[0] if self.draws else self.text}"


#: The last narrowed z and the name of its site.
_LAST: list[Any] = []


def _require_first(name: str, z: Tensor) -> None:
    """Raise if z has been narrowed already, as if both a method and the part that calls it are hooked."""
    if _LAST and _LAST[0]() is z:
        raise InputError(
            f"{name} returns the z that {_LAST[1]} has narrowed already; remove one of both: equalizer.remove()"
        )


def _transformed() -> bool:
    """Whether a transform of torch.func is active, in which nothing can be measured."""
    return torch._C._functorch.peek_interpreter_stack() is not None
