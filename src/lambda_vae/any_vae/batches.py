"""Batches of anybody's data as tensors, gone through as often as needed and never held."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from lambda_vae.any_vae.containers import dense, is_named
from lambda_vae.any_vae.extras import Extras, as_conditions
from lambda_vae.any_vae.opening import Cut, opened
from lambda_vae.errors import InputError
from lambda_vae.estimation.examples import Examples, x_of

__all__ = ["ExternalBatches"]

#: Numbers that are not held at once.
_LARGE = 2**26


@dataclass(frozen=True, eq=False)
class ExternalBatches:
    """The x of each batch, on the model's device, in the shape that the data give it.

    Args:
        data: In one piece, examples along the first axis; or batches that can be gone through again, each an x [B, ...]
            in any container, a tuple whose first item is x, or a dict.
        batch_size: Where the data are no batches yet.
        device: Where the model is.
        x_names: Under which a dict may hold x; the first that it has is taken.
        wanted: What is of interest of the rest of a batch, places in a tuple or names in a dict, and comes as
            `Examples`; empty is x alone.
        dtype: Of x, which conditions that are floats follow; None leaves it as the data give it.
        parts: The data as batches; left out, they are opened.

    Raises:
        InputError: The data can be gone through only once, or are no such thing.
    """

    data: object
    batch_size: int
    device: torch.device
    x_names: tuple[str, ...] = ("x", "data")
    wanted: frozenset[int | str] = frozenset()
    dtype: torch.dtype | None = None
    parts: Iterable[object] = ()

    def __post_init__(self) -> None:
        if self.parts == ():
            object.__setattr__(self, "parts", opened(self.data, self.batch_size))

    def with_conditions(self, wanted: Iterable[int | str]) -> "ExternalBatches":
        """Return the same data with what it holds besides x."""
        return replace(self, wanted=frozenset(wanted))

    def first(self) -> tuple[Tensor, Extras] | None:
        """Return the first batch that is not empty: x, and what it holds besides as the data give it."""
        cut = ((part, *self._cut(part)) for part in self.parts)
        known = ((self._x(part, given), extras) for part, given, extras in cut)
        return next((pair for pair in known if len(pair[0])), None)

    def entire(self) -> Tensor | None:
        """Return the x of data in one piece that had to be cut; None of any other, and of what is large."""
        if not isinstance(self.parts, Cut) or len(self.parts) < 2:
            return None
        first = self.first()
        if first is None or len(self.parts) * first[0].numel() > _LARGE:
            return None
        whole = replace(self, parts=Cut(self.parts.data, self.parts.data.length), wanted=frozenset())
        return x_of(next(iter(whole)))

    @property
    def single(self) -> bool:
        """Whether all data are one batch."""
        ordered = isinstance(self.parts, DataLoader) and not isinstance(self.parts.dataset, IterableDataset)
        if isinstance(self.parts, Cut | list | tuple) or ordered:
            return len(self.parts) == 1  # type: ignore[arg-type]  # without starting the loader's workers
        return len(list(itertools.islice(self.parts, 2))) == 1

    def __iter__(self) -> Iterator[Tensor | Examples]:
        axes = None
        for part in self.parts:
            given, extras = self._cut(part)
            x = self._x(part, given)
            axes = x.dim() if axes is None else axes
            if x.dim() != axes:
                raise InputError(
                    f"a batch has shape {list(x.shape)}, and the first one had {axes} axes; if data is x and its "
                    "labels, give TensorDataset(*data) or [data]"
                )
            if len(x):
                yield Examples(x, self._conditions(extras, x)) if self.wanted else x

    def _cut(self, part: Any) -> tuple[object, Extras]:  # noqa: ANN401 - any batch
        """A batch as x and the rest."""
        if is_named(part):
            names = list(part.keys())
            only = names[0] if len(names) == 1 and len(self.x_names) > 1 else None  # where none was asked for
            name = next((one for one in self.x_names if one in names), only)
            if name is None:
                raise InputError(
                    f"a batch is a {type(part).__name__} of {', '.join(map(repr, names)) or 'nothing'}, and which of "
                    f"them is x cannot be told; say x_key={next(iter(names), 'x')!r}"
                )
            return part[name], {key: part[key] for key in names if key != name}
        if isinstance(part, tuple | list) and part:
            return part[0], tuple(part[1:])
        return part, ()

    def _x(self, part: object, given: object) -> Tensor:
        x = dense("x", given)
        if x is None or x.dim() == 0:
            raise InputError(
                f"a batch is a {type(part).__name__}; give tensors, or tuples whose first item is x: "
                "[batch.x for batch in data] picks it"
            )
        if x.dim() == 1 and x.is_floating_point():
            stack = "torch" if isinstance(given, Tensor) else "np"
            raise InputError(
                f"a batch has shape {list(x.shape)}; x must be [B, ...]: `data.reshape(-1, 1)` where an example is one "
                f"number, {stack}.stack(data) where data is a list of examples"
            )
        if type(x) is not Tensor and type(x).__torch_dispatch__ is Tensor.__torch_dispatch__:
            x = x.as_subclass(Tensor)  # a subclass with metadata, such as MONAI's, may refuse to be sliced or joined
        return x.to(self.device, self.dtype or x.dtype)

    def _conditions(self, extras: Extras, x: Tensor) -> object:
        if isinstance(extras, dict):
            own: object = {name: part for name, part in extras.items() if name in self.wanted}
        else:
            own = tuple(part if place in self.wanted else None for place, part in enumerate(extras))
        floats = x.dtype if x.is_floating_point() else torch.float32
        return as_conditions("a condition", own, len(x), self.device, floats)
