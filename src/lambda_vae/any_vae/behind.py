"""The modules that a callable can reach: whose device, and whose precision."""

import dis
import functools
import inspect
from collections.abc import Callable, Iterator
from itertools import islice
from types import CodeType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from lambda_vae.any_vae.conditions import Asked
from lambda_vae.any_vae.precision import Cast

__all__ = ["device_of", "dtype_of", "modules_behind"]

#: How far plain objects are opened: a wrapper around a trainer around a model.
_DEPTH = 3

#: Things of one list that are opened.
_MOST = 32


def modules_behind(function: Callable[..., Any]) -> dict[str, nn.Module]:
    """Return the modules that a callable can reach, by the name it knows them under.

    Looked at are the callable itself, what it is bound to, partial arguments, the variables of its closure and the
    globals it loads, and the attributes of plain objects among these.

    Example:
        >>> net = nn.Linear(2, 2)
        >>> list(modules_behind(lambda x: net(x)))
        ['net']
    """
    found: dict[str, nn.Module] = {}
    while isinstance(function, Asked | Cast):
        function = function.function
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
    if isinstance(thing, FunctionType):
        # Modules of Python and classes hold no model of the user's, and would be opened without end.
        things = _variables(thing).items()
        return {key: value for key, value in things if not (inspect.ismodule(value) or inspect.isclass(value))}
    if isinstance(thing, functools.partial):
        return {"": thing.func, "arguments": thing.args, **thing.keywords}
    if isinstance(thing, dict | list | tuple):
        items = thing.items() if isinstance(thing, dict) else enumerate(thing)
        return {str(key): value for key, value in islice(items, _MOST)}
    return dict(getattr(thing, "__dict__", {})) if not inspect.isclass(thing) and not inspect.ismodule(thing) else {}


def _variables(function: FunctionType) -> dict[str, Any]:
    """Globals that its code loads (an attribute of that name is none), and the variables of its closure."""
    known = {name: function.__globals__[name] for name in _loaded(function.__code__) if name in function.__globals__}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            known[name] = cell.cell_contents
        except ValueError:  # not set yet
            continue
    return known


def _loaded(code: CodeType) -> Iterator[str]:
    yield from (one.argval for one in dis.get_instructions(code) if one.opname == "LOAD_GLOBAL")
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _loaded(inner)


def device_of(*functions: Callable[..., Any]) -> torch.device:
    """Return where the first parameter or buffer behind the callables lies; the CPU if they have none."""
    return next((tensor.device for tensor in _tensors(functions)), torch.device("cpu"))


def dtype_of(*functions: Callable[..., Any]) -> torch.dtype | None:
    """Return the precision of the first parameter or buffer of floats behind the callables; None if they have none."""
    return next((tensor.dtype for tensor in _tensors(functions) if tensor.is_floating_point()), None)


def _tensors(functions: tuple[Callable[..., Any], ...]) -> Iterator[Tensor]:
    for function in functions:
        for module in modules_behind(function).values():
            yield from (*module.parameters(), *module.buffers())
