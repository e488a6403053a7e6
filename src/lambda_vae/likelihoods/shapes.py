"""What shape a decoder answers in, against that of the data."""

from itertools import permutations

from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions.base import at_least_float32
from lambda_vae.errors import InputError

__all__ = ["flat_as", "orders", "tensor_of", "turned"]

#: Axes beyond these are not tried in every order: there are too many.
_AXES = 4


def tensor_of(answer: object) -> Tensor:
    """Return the decoder's answer, in float32 if it is half or bfloat16.

    Raises:
        InputError: No tensor of floats.
    """
    if not isinstance(answer, Tensor):
        raise InputError(
            f"decode gave a {type(answer).__name__}; pick its tensor: `lambda z: decode(z)[0]`, or `.sample`"
        )
    if not answer.is_floating_point():
        raise InputError(f"decode gave {answer.dtype}; give the parameters themselves, not what is drawn or rounded")
    return at_least_float32(answer)


def flat_as(answer: object, x: Tensor) -> Float[Tensor, "B F"]:
    """Return the decoder's answer as rows, one number for each of x's and in their order.

    Raises:
        InputError: No tensor, another size, or axes in another order.
    """
    theta = tensor_of(answer)
    if theta.dim() == 0 or len(theta) != len(x) or theta[0].numel() != x[0].numel():
        raise InputError(
            f"decode gave {list(theta.shape)} for x of {list(x.shape)}; it must give one number for each of x's"
        )
    _require_order(tuple(theta.shape[1:]), tuple(x.shape[1:]))
    return theta.reshape(len(theta), -1)


def _require_order(given: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    plain_given, plain_wanted = (tuple(one for one in shape if one > 1) for shape in (given, wanted))
    if _merges(plain_given, plain_wanted) or _merges(plain_wanted, plain_given):
        return
    text = f"decode gave [B, {', '.join(map(str, given))}] for x of [B, {', '.join(map(str, wanted))}]"
    if sorted(given) == sorted(wanted):
        raise InputError(f"{text}, the same axes in another order; return {turned('decode(z)', given, wanted)}")
    raise InputError(f"{text}; bring it into x's shape, or `.flatten(1)` both if their numbers stand in the same order")


def _merges(fine: tuple[int, ...], coarse: tuple[int, ...]) -> bool:
    """Whether neighbouring axes of the one, flattened, give the other."""
    rest = list(fine)
    for size in coarse:
        product = 1
        while rest and product < size:
            product *= rest.pop(0)
        if product != size:
            return False
    return not rest


def turned(what: str, given: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """Return the call that brings a tensor [B, *given] into [B, *wanted]."""
    free, order = list(range(len(given))), []
    for size in wanted:
        axis = next(axis for axis in free if given[axis] == size)
        free.remove(axis)
        order.append(axis + 1)
    return f"{what}.permute(0, {', '.join(map(str, order))})"


def orders(shape: tuple[int, ...], *, kept: bool) -> list[tuple[int, ...]]:
    """Return every other order of the axes longer than 1; if `kept`, those alone that leave the shape what it is."""
    if len(shape) > _AXES or sum(size > 1 for size in shape) < 2:
        return []
    found: dict[tuple[int, ...], tuple[int, ...]] = {}
    for order in permutations(range(len(shape))):
        long = tuple(axis for axis in order if shape[axis] > 1)
        same_shape = tuple(shape[axis] for axis in order) == shape
        if long != tuple(sorted(long)) and (same_shape or not kept):
            found.setdefault(long, order)
    return list(found.values())
