"""Restores generators, buffers and a host's attributes after a draw was repeated."""

import random
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["undone"]

#: Larger tensors among a module's attributes are taken for data, and longer containers are not searched.
_LARGEST, _LONGEST = 1_000_000, 10_000

_OWN = frozenset(vars(nn.Module()))

Undo = Callable[[], None]


@contextmanager
def undone(module: nn.Module) -> Iterator[None]:
    """Restore the generators of all devices, Python and numpy, and a module's attributes and buffers."""
    attributes = [(part, dict(vars(part)), dict(part._buffers)) for part in module.modules()]
    values = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    seen: set[int] = set()
    kept = [
        undo
        for _, own, _ in attributes
        for name, value in own.items()
        if name not in _OWN
        for undo in _kept(value, seen, objects=True)
    ]
    numpy = sys.modules.get("numpy")
    states = random.getstate(), None if numpy is None else numpy.random.get_state()
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    cuda = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(range(torch.cuda.device_count()) if cuda else []):
            yield
    finally:
        random.setstate(states[0])
        if numpy is not None:
            numpy.random.set_state(states[1])
        if mps is not None:
            torch.mps.set_rng_state(mps)
        for part, own, buffers in attributes:
            vars(part).clear()
            vars(part).update(own)
            part._buffers.clear()
            part._buffers.update(buffers)
        for undo in kept:
            undo()
        for buffer, value in values:  # without autograd, to which a batch norm would have changed before backward
            buffer.data.copy_(value)


def _kept(value: Any, seen: set[int], *, objects: bool) -> Iterator[Undo]:
    """Yield functions that restore what is changed in place: counters, queues, meters, generators."""
    ours = type(value).__module__.startswith("lambda_vae.")  # a measurement's own records are kept
    if id(value) in seen or ours or isinstance(value, nn.Module | type):
        return
    seen.add(id(value))
    inner: list[Any] = []
    if isinstance(value, Tensor):
        if value.numel() <= _LARGEST and not value.is_meta and type(value) is Tensor:
            yield partial(_tensor, value, value.detach().clone())
    elif isinstance(value, list | deque):
        inner = list(value)
        yield partial(_sequence, value, inner)
    elif isinstance(value, dict):
        inner = list(value.values())
        yield partial(_mapping, value, dict(value.items()))
    elif isinstance(value, set):
        yield partial(_set, value, set(value))
    elif isinstance(value, tuple):
        inner = list(value)
    elif isinstance(value, random.Random):
        yield partial(value.setstate, value.getstate())
    elif hasattr(value, "bit_generator"):
        yield partial(setattr, value.bit_generator, "state", value.bit_generator.state)
    elif objects and type(getattr(value, "__dict__", None)) is dict and not callable(value):
        inner, objects = list(vars(value).values()), False
        yield partial(_mapping, vars(value), dict(vars(value)))
    for one in inner if len(inner) <= _LONGEST else []:
        yield from _kept(one, seen, objects=objects)


def _tensor(value: Tensor, before: Tensor) -> None:
    if value.shape == before.shape and not torch.equal(value, before):
        value.data.copy_(before)


def _sequence(value: "list[Any] | deque[Any]", before: list[Any]) -> None:
    if len(value) != len(before) or any(a is not b for a, b in zip(value, before, strict=True)):
        value.clear()
        value.extend(before)


def _mapping(value: dict[Any, Any], before: dict[Any, Any]) -> None:
    kind: Any = OrderedDict if isinstance(value, OrderedDict) else dict
    now = dict(value.items())
    if list(now) != list(before) or any(now[name] is not before[name] for name in now):
        kind.clear(value)
        for name, one in before.items():
            kind.__setitem__(value, name, one)


def _set(value: set[Any], before: set[Any]) -> None:
    value.clear()
    value.update(before)
