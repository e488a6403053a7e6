"""Where a host draws z, taken hold of: a method, or a module whose output holds z."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from lambda_vae.equalizing.draws.site import DrawSite
from lambda_vae.equalizing.draws.tensors import Call
from lambda_vae.equalizing.draws.within import OwnCall, running

__all__ = ["MethodPlace", "ModulePlace", "Place"]


class Place:
    """Where a host draws z, under a site, until `remove`.

    Args:
        site: Narrows.
        model: The host.
        counted: Whether draws are counted within the host's own call.
    """

    def __init__(self, site: DrawSite, model: nn.Module, *, counted: bool) -> None:
        self.site = site
        self.call = OwnCall(model, self) if counted else None
        self.handles: list[RemovableHandle] = []

    def entered(self) -> None:
        """Count draws anew: the host's own call begins."""
        self.site.count = 0

    def require_own_call(self) -> None:
        """Raise where draws are counted, and the host's own call does not run.

        Raises:
            InputError: The draw is made outside of it.
        """
        if self.call is not None and self.site.order is not None and self.site.active:
            self.call.require(self.site.name, self.site.order)

    def remove(self) -> None:
        """Let go of the host."""
        for handle in self.handles:
            handle.remove()
        if self.call is not None:
            self.call.remove()


class MethodPlace(Place):
    """A method of a host under a site; an object, so that a copy or a pickle of the host has its own.

    Args:
        site: Narrows.
        owner: The host's module.
        name: The method's.
        model: The host, within whose own call a static method is the host's, and draws are counted.
    """

    def __init__(self, site: DrawSite, owner: nn.Module, name: str, model: nn.Module) -> None:
        self.owner, self.name, self.before = owner, name, vars(owner).get(name)
        self._of_class()
        super().__init__(site, model, counted=self.bound_to is None or site.order is not None)
        setattr(owner, name, self)

    def _of_class(self) -> None:
        """Look the method up in the owner's class; a static one may be called through it, past the owner."""
        kind = next((kind for kind in type(self.owner).__mro__ if self.name in vars(kind)), type(self.owner))
        raw = vars(kind).get(self.name)
        self.raw: Any = raw.__func__ if isinstance(raw, staticmethod | classmethod) else raw
        self.bound_to: object = type(self.owner) if isinstance(raw, classmethod) else self.owner
        if isinstance(raw, staticmethod):
            self.bound_to = None
            if not isinstance(self.raw, _ClassDraw):
                draw: Any = self.raw
                setattr(kind, self.name, staticmethod(_ClassDraw(draw, self.name)))
            else:
                self.raw = self.raw.host
        self.host = _Bound(self.raw, self.bound_to) if self.before is None else self.before

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("raw", "bound_to", "host")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._of_class()

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Return what the host's method returns, with z narrowed while it trains."""
        self.require_own_call()
        return self.site.drawn(self.host, Call(args, named))

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.host)

    @staticmethod
    def held(owner: nn.Module, method: str | None) -> list[DrawSite]:
        """Return the sites that a method is under, the last first."""
        sites, place = [], vars(owner).get(method or "")
        while isinstance(place, MethodPlace):
            sites.append(place.site)
            place = place.before
        return sites

    def remove(self) -> None:
        """Give the host its own method back."""
        super().remove()
        place = vars(self.owner).get(self.name)
        if place is self:
            delattr(self.owner, self.name)
            if self.before is not None:
                setattr(self.owner, self.name, self.before)
        while isinstance(place, MethodPlace):  # a later site of the same method holds this one
            if place.before is self:
                place.before = self.before
                place.host = place.before or _Bound(place.raw, place.bound_to)
            place = place.before


class _Bound:
    """A function with its module before its arguments; what torch.compile can follow."""

    def __init__(self, function: Callable[..., Any], to: object) -> None:
        self.function, self.to = function, to

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self.function(*args, **named) if self.to is None else self.function(self.to, *args, **named)

    @property
    def __signature__(self) -> inspect.Signature:
        own = inspect.signature(self.function)
        return own if self.to is None else own.replace(parameters=list(own.parameters.values())[1:])


class _ClassDraw:
    """A static method called through its class: within the own call of an equalized model it is that model's."""

    def __init__(self, host: Callable[..., Any], name: str) -> None:
        functools.update_wrapper(self, host)
        self.host, self.name = host, name

    def __call__(self, *args: Any, **named: Any) -> Any:
        for call in running():
            place = call.owner
            if isinstance(place, MethodPlace) and place.raw is self.host and place.name == self.name:
                return place(*args, **named)
        return self.host(*args, **named)


class ModulePlace(Place):
    """The output of a module of a host under a site.

    Args:
        site: Narrows.
        owner: The module.
        model: The host, within whose own call draws are counted.
    """

    def __init__(self, site: DrawSite, owner: nn.Module, model: nn.Module) -> None:
        super().__init__(site, model, counted=site.order is not None)
        self.due = False
        self.handles = [
            owner.register_forward_pre_hook(self.look, with_kwargs=True),
            owner.register_forward_hook(self, prepend=True, with_kwargs=True),
        ]

    def look(self, owner: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Measure before the module's own call, which is the one that counts."""
        self.require_own_call()
        self.due = self.site.due
        if self.due:
            self.site.look(owner.forward, Call(args, named))

    def __call__(self, owner: nn.Module, args: tuple[Any, ...], named: dict[str, Any], out: Any) -> Any:
        """Return the module's output with z narrowed, None where it stays."""
        return self.site.narrowed(Call(args, named, out)) if self.due else None

    @staticmethod
    def held(owner: nn.Module, method: str | None) -> list[DrawSite]:
        """Return the sites that a module's output is under."""
        return [one.site for one in owner._forward_hooks.values() if isinstance(one, ModulePlace)]
