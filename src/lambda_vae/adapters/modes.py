"""The modules behind a callable: whose device, and whether one was left in train mode."""

import functools
import inspect
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import nn

from lambda_vae.errors import InputError

__all__ = ["device_of", "modules_behind", "require_eval"]

#: How far plain objects are opened: a wrapper around a trainer around a model.
_DEPTH = 3

#: Things of one list that are opened.
_MOST = 32


def modules_behind(function: Callable[..., Any]) -> dict[str, nn.Module]:
    """Return the modules that a callable can reach, by the name it knows them under.

    Looked at are the callable itself, what it is bound to, partial arguments, the variables of its closure and the
    globals it names, and the attributes of plain objects among these.

    Args:
        function: A module, method, function, lambda or partial.

    Example:
        >>> net = nn.Linear(2, 2)
        >>> list(modules_behind(lambda x: net(x)))
        ['net']
    """
    found: dict[str, nn.Module] = {}
    for name, thing in _reached("", function, _DEPTH):
        if isinstance(thing, nn.Module) and not any(thing is known for known in found.values()):
            found[name or type(thing).__name__] = thing
    return found


def _reached(name: str, thing: Any, depth: int) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any object at all
    yield name, thing
    if isinstance(thing, nn.Module) or depth == 0:
        return
    for inner_name, inner in _inside(thing).items():
        yield from _reached(inner_name, inner, depth - 1)


def _inside(thing: Any) -> dict[str, Any]:  # noqa: ANN401 - any object at all
    if inspect.ismethod(thing):
        return {"": thing.__self__, **_inside(thing.__func__)}
    if inspect.isfunction(thing):
        known = inspect.getclosurevars(thing)
        # Modules of Python and classes hold no model of the user's, and would be opened without end.
        things = {**known.globals, **known.nonlocals}
        return {key: value for key, value in things.items() if not (inspect.ismodule(value) or inspect.isclass(value))}
    if isinstance(thing, functools.partial):
        return {"": thing.func, "arguments": thing.args, **thing.keywords}
    if isinstance(thing, dict | list | tuple):
        items = thing.items() if isinstance(thing, dict) else enumerate(thing)
        return {str(key): value for key, value in islice(items, _MOST)}
    return dict(getattr(thing, "__dict__", {})) if not inspect.isclass(thing) and not inspect.ismodule(thing) else {}


def require_eval(what: str, function: Callable[..., Any]) -> None:
    """Raise if a module behind a callable is in train mode.

    Args:
        what: The callable's name.
        function: It.

    Raises:
        InputError: With the call that mends it.
    """
    for name, module in modules_behind(function).items():
        if module.training:
            raise InputError(
                f"{what} uses {type(module).__name__} in train mode, where dropout and batch norm answer differently; "
                f"call {name if name.isidentifier() and name != type(module).__name__ else 'model'}.eval() before"
            )


def device_of(*functions: Callable[..., Any]) -> torch.device:
    """Return where the first parameter or buffer behind the callables lies; the CPU if they have none.

    Args:
        functions: To look behind.
    """
    for function in functions:
        for module in modules_behind(function).values():
            for tensor in (*module.parameters(), *module.buffers()):
                return tensor.device
    return torch.device("cpu")
