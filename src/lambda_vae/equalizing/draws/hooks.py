"""Hooks of a host's draw of z: of a method, or of a module whose output holds z."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from lambda_vae.equalizing.draws.site import DrawSite
from lambda_vae.equalizing.draws.tensors import Call
from lambda_vae.equalizing.draws.within import OwnCall, running

__all__ = ["DrawHook", "MethodHook", "ModuleHook"]


class DrawHook:
    """Lets a site narrow a host's draws of z until `remove`; `counted` draws are numbered within the host's call."""

    def __init__(self, site: DrawSite, model: nn.Module, *, counted: bool) -> None:
        self.site = site
        self.call = OwnCall(model, self) if counted else None
        self.handles: list[RemovableHandle] = []

    def entered(self) -> None:
        """Restart the count of draws, as the host's own call begins."""
        self.site.count = 0

    def require_own_call(self) -> None:
        """Raise if draws are counted and the host's own call is not running."""
        if self.call is not None and self.site.order is not None and self.site.active:
            self.call.require(self.site.name, self.site.order)

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()
        if self.call is not None:
            self.call.remove()


class MethodHook(DrawHook):
    """Replaces a method of a host's module; an object, so that a copy or a pickle of the host has its own.

    A static method is the host's within the host's own call alone.
    """

    def __init__(self, site: DrawSite, owner: nn.Module, name: str, model: nn.Module) -> None:
        self.owner, self.name, self.before = owner, name, vars(owner).get(name)
        self._of_class()
        super().__init__(site, model, counted=self.bound_to is None or site.order is not None)
        setattr(owner, name, self)

    def _of_class(self) -> None:
        """Look the method up in the owner's class, through which a static one may be called, bypassing the owner."""
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
        """Call the host's method; return its output with z narrowed in training."""
        self.require_own_call()
        return self.site.drawn(self.host, Call(args, named))

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.host)

    @staticmethod
    def held(owner: nn.Module, method: str | None) -> list[DrawSite]:
        sites, hook = [], vars(owner).get(method or "")
        while isinstance(hook, MethodHook):
            sites.append(hook.site)
            hook = hook.before
        return sites

    def remove(self) -> None:
        super().remove()
        hook = vars(self.owner).get(self.name)
        if hook is self:
            delattr(self.owner, self.name)
            if self.before is not None:
                setattr(self.owner, self.name, self.before)
        while isinstance(hook, MethodHook):  # a later hook of the same method holds this one
            if hook.before is self:
                hook.before = self.before
                hook.host = hook.before or _Bound(hook.raw, hook.bound_to)
            hook = hook.before


class _Bound:
    """A function with its module as first argument, in a form that torch.compile can trace."""

    def __init__(self, function: Callable[..., Any], to: object) -> None:
        self.function, self.to = function, to

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self.function(*args, **named) if self.to is None else self.function(self.to, *args, **named)

    @property
    def __signature__(self) -> inspect.Signature:
        own = inspect.signature(self.function)
        return own if self.to is None else own.replace(parameters=list(own.parameters.values())[1:])


class _ClassDraw:
    """A static method called through its class: within the own call of a hooked model it is that model's."""

    def __init__(self, host: Callable[..., Any], name: str) -> None:
        functools.update_wrapper(self, host)
        self.host, self.name = host, name

    def __call__(self, *args: Any, **named: Any) -> Any:
        for call in running():
            hook = call.owner
            if isinstance(hook, MethodHook) and hook.raw is self.host and hook.name == self.name:
                return hook(*args, **named)
        return self.host(*args, **named)


class ModuleHook(DrawHook):
    """Narrows z in the output of a host's module."""

    def __init__(self, site: DrawSite, owner: nn.Module, model: nn.Module) -> None:
        super().__init__(site, model, counted=site.order is not None)
        self.due = False
        self.handles = [
            owner.register_forward_pre_hook(self.look, with_kwargs=True),
            owner.register_forward_hook(self, prepend=True, with_kwargs=True),
        ]

    def look(self, owner: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Measure the draw before the module's own call."""
        self.require_own_call()
        self.due = self.site.due
        if self.due:
            self.site.look(owner.forward, Call(args, named))

    def __call__(self, owner: nn.Module, args: tuple[Any, ...], named: dict[str, Any], out: Any) -> Any:
        """Return the module's output with z narrowed; None to keep it."""
        return self.site.narrowed(Call(args, named, out)) if self.due else None

    @staticmethod
    def held(owner: nn.Module, method: str | None) -> list[DrawSite]:
        return [one.site for one in owner._forward_hooks.values() if isinstance(one, ModuleHook)]
