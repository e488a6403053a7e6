"""Whether a decoder's means fit the data better with their axes in another order."""

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.likelihoods.shapes import orders

__all__ = ["axes"]

#: Fewer features show nothing.
_FEATURES = 16

#: Numbers that the orders of axes are compared on.
_MOST = 2_000_000

#: A reordered answer is surely the right one when it leaves less than this share of the squared error, and means
#: something at all when it leaves less than the second of what one number for all leaves.
_RIGHT, _SOME = 0.5, 0.7

#: Standard errors of a difference that is no chance.
_SURE = 6.0


@dataclass(frozen=True, eq=False)
class _Order:
    """The axes of an answer in another order, and the squared errors of each example."""

    order: tuple[int, ...]
    error: Float[Tensor, " B"]
    moved: Float[Tensor, " B"]


def axes(
    name: str, x: Tensor, rows: Float[Tensor, "B F"], mean: Float[Tensor, "B F"], answer: tuple[int, ...]
) -> tuple[str, ...]:
    """Return a note where a decoder's means E[x|z] are likely to have their axes in another order than x.

    Raises:
        InputError: Another order is certain.
    """
    own = tuple(x.shape[1:])
    by_x = sum(size > 1 for size in own) >= 2
    shape = own if by_x else answer
    if mean.shape[1] < _FEATURES or math.prod(shape) != mean.shape[1]:
        return ()
    kept = by_x and sum(size > 1 for size in answer) >= 2
    few = max(1, _MOST // mean.shape[1])
    rows, mean = rows[:few], mean[:few]
    plain, flat = (rows - mean).square().sum(1), (rows - rows.mean()).square().sum(1)
    found = [_turned(order, shape, rows, mean, by_x=by_x) for order in orders(shape, kept=kept)]
    if not found:
        return ()
    best = min(found, key=lambda one: float(one.error.sum()))
    text = _sentence(name, best.order, shape, plain, best.error, by_x=by_x)
    if float(best.error.sum()) < min(_RIGHT * float(plain.sum()), _SOME * float(flat.sum())):
        raise InputError(f"{text} puts them right")
    return (f"{text[0].upper()}{text[1:]} may be what it should be.",) if _likely(best, plain, flat) else ()


def _turned(order: tuple[int, ...], shape: tuple[int, ...], rows: Tensor, mean: Tensor, *, by_x: bool) -> _Order:
    """The one without a shape of its own may hold its numbers in this order."""

    def turn(loose: Tensor) -> Tensor:
        sizes = [shape[axis] for axis in order]
        return loose.reshape(len(loose), *sizes).permute(0, *_back(order)).reshape(len(loose), -1)

    other = turn(mean)
    error = (rows - other) if by_x else (turn(rows) - mean)
    return _Order(order, error.square().sum(1), (other - mean).square().sum(1))


def _likely(best: _Order, plain: Tensor, flat: Tensor) -> bool:
    """Of x that scatter about the reordered means the error falls by as much as these moved, and no more."""
    fall = plain - best.error
    share = float(fall.sum()) / max(float(best.moved.sum()), 1e-30)
    return 0.5 < share < 1.6 and _sure(fall) and _sure(flat - best.error)


def _sure(gain: Tensor) -> bool:
    return len(gain) > 1 and float(gain.mean()) > _SURE * float(gain.std()) / len(gain) ** 0.5


def _back(order: tuple[int, ...]) -> list[int]:
    return [1 + order.index(axis) for axis in range(len(order))]


def _sentence(
    name: str, order: tuple[int, ...], shape: tuple[int, ...], plain: Tensor, error: Tensor, *, by_x: bool
) -> str:
    sizes = [shape[axis] for axis in order]
    what = "decode(z)" if by_x else "x"
    before, after = float(plain.mean()), float(error.mean())
    return (
        f"the squared error of {name}'s means falls from {before:.3g} to {after:.3g} when the axes of {what} "
        f"are read in another order, {sizes} for {[*shape]}: "
        f"{what}.reshape(-1, {', '.join(map(str, sizes))}).permute(0, {', '.join(map(str, _back(order)))})"
    )
