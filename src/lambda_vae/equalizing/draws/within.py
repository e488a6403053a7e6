"""A model's own call: draws within it are the model's, draws elsewhere are not."""

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from lambda_vae.errors import InputError

__all__ = ["OwnCall", "running"]

#: The running own calls of all threads, the innermost last.
_RUNNING: list["_Run"] = []

#: Methods that train a model, besides its forward.
_STEPS = ("training_step", "train_step")


class OwnCall:
    """Tracks whether a model's forward or training step is running."""

    def __init__(self, model: nn.Module, owner: object) -> None:
        self.model, self.owner = model, owner
        self.handles: list[RemovableHandle] = [
            model.register_forward_pre_hook(self.enter, with_kwargs=True, prepend=True),
            model.register_forward_hook(self.leave, always_call=True),
        ]
        self.steps = [_Step(self, model, name) for name in _STEPS if callable(getattr(model, name, None))]

    def enter(self, *call: Any) -> None:
        _RUNNING.append(_Run(self))
        entered = getattr(self.owner, "entered", None)
        if entered is not None:
            entered()

    def leave(self, *call: Any) -> None:
        """End; notify the owner unless the call failed, in which case the last argument is None."""
        for run in [run for run in _RUNNING[::-1] if run.here]:
            _RUNNING.remove(run)
            if run.call is self:
                break
        left = getattr(self.owner, "left", None)
        if left is not None and self not in running() and call and call[-1] is not None:
            left()

    def require(self, name: str, order: int) -> None:
        """Raise if a counted draw is made outside the model's own call."""
        if not torch.compiler.is_compiling() and self not in running():
            raise InputError(
                f"{name} draws outside of {type(self.model).__name__}'s forward, within which draw={order} is counted; "
                "call the model itself, model(x), where it trains, or draw with the equalizer: z = equalizer(mu, std)"
            )

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()
        for step in self.steps:
            step.remove()


class _Run:
    """One own call in one thread."""

    def __init__(self, call: OwnCall) -> None:
        self.call = call
        self.thread: int | None = None
        self.frame: FrameType | None = None
        if not torch.compiler.is_compiling():
            self.thread, self.frame = threading.get_ident(), _caller()

    @property
    def here(self) -> bool:
        return self.thread is None or torch.compiler.is_compiling() or self.thread == threading.get_ident()

    @property
    def over(self) -> bool:
        """Whether it ended unnoticed: torch calls no hook if a KeyboardInterrupt ends a forward."""
        if self.frame is None or torch.compiler.is_compiling():
            return False
        try:
            self.frame.clear()
        except RuntimeError:  # it is running
            return False
        return True


def running() -> list[OwnCall]:
    """Return the running own calls of this thread, the innermost first."""
    if not _RUNNING:
        return []
    here = [run for run in _RUNNING[::-1] if run.here]
    for run in here:
        if run.over:
            _RUNNING.remove(run)
    return [run.call for run in here if run in _RUNNING]


def _caller() -> FrameType | None:
    """The frame with the lifetime of the call: torch's, or that of a training step."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != _MODULE:
        if frame.f_code.co_name == "__call__" and frame.f_code.co_filename == __file__:
            return frame
        frame = frame.f_back
    return frame


_MODULE = nn.Module.__call__.__code__.co_filename


class _Step:
    """A training step of a model, which counts as its own call."""

    def __init__(self, call: OwnCall, model: nn.Module, name: str) -> None:
        self.call, self.model, self.name = call, model, name
        self.before: Callable[..., Any] | None = vars(model).get(name)
        setattr(model, name, self)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The host's own step, whose code and arguments Lightning inspects."""
        return getattr(self.host, "__wrapped__", self.host)

    @property
    def host(self) -> Callable[..., Any]:
        """The host's own step, or an earlier wrapper of it."""
        return self.before or getattr(type(self.model), self.name).__get__(self.model)

    def __call__(self, *args: Any, **named: Any) -> Any:
        host = self.host
        self.call.enter()
        out = None
        try:
            out = host(*args, **named)
        finally:
            self.call.leave(out)
        return out

    def remove(self) -> None:
        if vars(self.model).get(self.name) is self:
            delattr(self.model, self.name)
            if self.before is not None:
                setattr(self.model, self.name, self.before)
