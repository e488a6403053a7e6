"""The tensors among a call's arguments and outputs, each by a path that finds it in the next call."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.distributions import Distribution

__all__ = ["Call", "Source", "drawables", "given", "put", "returned"]

#: A part of a value: an item, an attribute, or the k-th part of so many channels along an axis.
Step = tuple[str, Any]

_PLAIN = (Tensor, nn.Module, str, bytes, int, float, type)

_PARTS = ("first", "second", "third", "fourth")


class Call(NamedTuple):
    """One call of a host: its positional and named arguments, and its output."""

    args: tuple[Any, ...]
    named: Mapping[str, Any]
    out: Any = None


@dataclass(frozen=True)
class Source:
    """The path to a tensor in every call: an argument, or the output where there is neither position nor keyword."""

    name: str
    position: int | None = None
    keyword: str | None = None
    steps: tuple[Step, ...] = ()

    def __call__(self, call: Call) -> Any:
        value = call.out
        if self.position is not None:
            value = call.args[self.position] if self.position < len(call.args) else call.named[self.keyword or ""]
        elif self.keyword is not None:
            value = call.named[self.keyword]
        for kind, what in self.steps:
            if kind == "item":
                value = value[what]
            elif kind == "attribute":
                value = getattr(value, what)
            else:
                part, width, axis = what
                value = value.narrow(axis, part * width, width)
        return value


def given(host: Callable[..., Any], call: Call, width: int, axis: int) -> Iterator[tuple[Source, Tensor]]:
    """Yield all floating tensors among the arguments of a call, and their parts of `width` along the latent axis."""
    try:
        names = list(inspect.signature(host).parameters)
    except (TypeError, ValueError):
        names = []
    for position, value in enumerate(call.args):
        keyword = names[position] if position < len(names) else None
        source = Source(f"the argument {keyword or position}", position, keyword)
        yield from _parts(source, value, width, axis)
    for keyword, value in call.named.items():
        index = names.index(keyword) if keyword in names else None
        yield from _parts(Source(f"the argument {keyword}", index, keyword), value, width, axis)


def returned(out: object, width: int, axis: int) -> Iterator[tuple[Source, Tensor]]:
    """Yield all floating tensors of what a call returned, and their parts of `width` along the latent axis."""
    yield from _parts(Source("the output"), out, width, axis)


def _parts(source: Source, value: object, width: int, axis: int) -> Iterator[tuple[Source, Tensor]]:
    for found, tensor in _leaves(source, value, lambda one: isinstance(one, Tensor) and one.is_floating_point(), 4):
        yield found, tensor
        length = tensor.shape[axis] if -tensor.ndim <= axis < tensor.ndim else 0
        if width and length % width == 0 and 2 <= length // width <= len(_PARTS):
            for part in range(length // width):
                name = f"the {_PARTS[part]} {'half' if length == 2 * width else 'part'} of {found.name}"
                step = "part", (part, width, axis)
                yield replace(found, name=name, steps=(*found.steps, step)), tensor.narrow(axis, part * width, width)


def drawables(out: object) -> list[Source]:
    """Return the paths to the distributions in a call's output."""
    return [source for source, _ in _leaves(Source("the output"), out, _can_be_drawn_from, 3)]


def _can_be_drawn_from(value: object) -> bool:
    known = value is None or isinstance(value, _PLAIN)
    return not known and any(callable(getattr(value, name, None)) for name in ("rsample", "sample"))


def _leaves(source: Source, value: Any, wanted: Callable[[Any], bool], depth: int) -> Iterator[tuple[Source, Any]]:
    """The wanted parts of a value, up to so many containers deep."""
    if wanted(value):
        yield source, value
    elif depth and value is not None and not isinstance(value, _PLAIN):
        for kind, what, part in _items(value):
            name = f"{source.name}.{what}" if kind == "attribute" else f"{source.name}[{what!r}]"
            found = replace(source, name=name, steps=(*source.steps, (kind, what)))
            yield from _leaves(found, part, wanted, depth - 1)


def _items(value: object) -> Iterator[tuple[str, Any, object]]:
    if isinstance(value, Mapping):
        yield from (("item", key, part) for key, part in value.items())
    elif isinstance(value, tuple | list):
        yield from (("item", index, part) for index, part in enumerate(value))
    elif hasattr(value, "__dict__"):
        yield from (("attribute", name, part) for name, part in vars(value).items() if not name.startswith("_"))
        if isinstance(value, Distribution):
            for name in ("mean", "stddev"):
                try:
                    yield "attribute", name, getattr(value, name)
                except NotImplementedError:
                    continue


def put(out: Any, steps: tuple[Step, ...], tensor: object) -> Any:
    """Return an output with another tensor at one path; containers keep their types."""
    if not steps:
        return tensor
    (kind, what), *rest = steps
    if kind == "attribute":
        inner = put(getattr(out, what), tuple(rest), tensor)
        if is_dataclass(out) and not isinstance(out, type) and out.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            return replace(out, **{what: inner})
        setattr(out, what, inner)
        return out
    inner = put(out[what], tuple(rest), tensor)
    if isinstance(out, tuple):
        items = [inner if index == what else part for index, part in enumerate(out)]
        return type(out)(*items) if hasattr(out, "_fields") else type(out)(items)
    out[what] = inner
    return out
