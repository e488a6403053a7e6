"""Bernoulli binarisation of grey values: drawn afresh for each view, or once with a fixed seed.

Both routes compare 16 random bits with a threshold, round(65536 x / 255): the probability of a one is x / 255 to within
2^-17, a 0 never gives a one, and a 255 always does.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Float, Int64, Shaped, UInt8
from torch import Tensor

from lambda_vae.errors import InputError

__all__ = ["BINARISATIONS", "Binarisation", "binarise", "binarise_fixed", "view_test", "view_train"]

Binarisation = Literal["stochastic", "fixed", "none"]
"""`stochastic`: each view of a training image is drawn afresh; `fixed`: drawn once with a fixed seed; `none`: x / 255.

The test set is drawn once with a fixed seed under both of the first two.
"""

BINARISATIONS: tuple[Binarisation, ...] = get_args(Binarisation)

# splitmix64 (Steele, Lea and Flood 2014), as signed 64-bit numbers: torch has no unsigned arithmetic.
_GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_MIX = ((30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64))
_MASK = 2**64 - 1


def _compare(x: UInt8[Tensor, "B F"], words: Int64[Tensor, "..."]) -> Float[Tensor, "B F"]:
    """One where 16 of the random bits in `words` lie below the threshold; both are shifted by -32768 to fit int16.

    In floats throughout and in place: on a CPU, torch's comparisons that give booleans cost more than the draw.
    """
    rows = words.view(torch.int16)
    bits = rows[:, : x.shape[1]] if rows.ndim == 2 else rows[: x.numel()].view(x.shape)
    # bits < t - 1/2 is the same as bits < round(t): it never holds for x = 0 and always holds for x = 255.
    threshold = x.to(torch.float32).mul_(65536 / 255).sub_(32768.5)
    return bits.to(torch.float32).lt_(threshold)


def binarise(x: UInt8[Tensor, "B F"], generator: torch.Generator | None = None) -> Float[Tensor, "B F"]:
    """A fresh draw: 1 with probability x / 255, else 0.

    Args:
        x: Grey values, on any device.
        generator: On the device of `x`; torch's global one if None.

    Returns:
        Zeros and ones, float32, on the device of `x`. Nothing waits for the device.

    Source:
        Burda et al. 2016, arXiv:1509.00519 (stochastic binarisation). Deviation: probabilities in steps of 2^-16.

    Example:
        >>> binarise(torch.tensor([[0, 255]], dtype=torch.uint8)).tolist()
        [[0.0, 1.0]]
    """
    words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64, device=x.device)
    return _compare(x, words.random_(-(2**63), None, generator=generator))


def _signed(value: int) -> int:
    value &= _MASK
    return value - 2**64 if value >= 2**63 else value


def _scramble(state: Int64[Tensor, "*shape"]) -> Int64[Tensor, "*shape"]:
    """splitmix64's output function; the masks make torch's arithmetic right shift a logical one."""
    for shift, factor in _MIX:
        state = (state ^ ((state >> shift) & (_MASK >> shift))) * factor
    return state ^ ((state >> 31) & (_MASK >> 31))


def binarise_fixed(x: UInt8[Tensor, "B F"], index: Int64[Tensor, " B"], seed: int = 0) -> Float[Tensor, "B F"]:
    """The fixed draw of each image: a function of seed and index alone, the same in every batch and on every device.

    Args:
        x: Grey values.
        index: Where each row of `x` stands in its part of the data set; on the device of `x`.
        seed: Of the whole draw.

    Returns:
        Zeros and ones, float32.

    Example:
        >>> x = torch.full((4, 6), 128, dtype=torch.uint8)
        >>> index = torch.arange(4)
        >>> bool((binarise_fixed(x, index)[2:] == binarise_fixed(x[2:], index[2:])).all())
        True
    """
    width = (x.shape[1] + 3) // 4
    key = _signed((seed + 1) * 0xD1342543DE82EF95)
    column = torch.arange(width, dtype=torch.int64, device=x.device)
    # Two rounds: the row's state is scrambled before the columns step from it, so rows and seeds cannot overlap.
    row = _scramble(index * _GOLDEN + key)
    words = _scramble(row[:, None] + (column + 1) * _GOLDEN)
    return _compare(x, words)


# The test draw must not repeat the training draw at equal indices.
_STREAMS = {"train": 1, "test": 2}


def _grey(x: Shaped[Tensor, "B F"]) -> Shaped[Tensor, "B F"]:
    return x.to(torch.float32) / 255 if x.dtype == torch.uint8 else x


def _check(x: Shaped[Tensor, "B F"], binarisation: str) -> None:
    if binarisation not in BINARISATIONS:
        raise InputError(f"binarisation is {binarisation!r}; it must be one of {', '.join(BINARISATIONS)}")
    if binarisation != "none" and x.dtype != torch.uint8:
        raise InputError(f"binarisation {binarisation!r} needs uint8 images, and the data is {x.dtype}; use 'none'")


def view_train(
    x: Shaped[Tensor, "B F"],
    index: Int64[Tensor, " B"],
    binarisation: str,
    generator: torch.Generator | None = None,
    seed: int = 0,
) -> Shaped[Tensor, "B F"]:
    """A batch of training examples as the model sees it.

    Args:
        x: uint8 images; float32 vectors or int64 ids of tokens pass unchanged, and only under "none".
        index: Where the rows stand in the training part; used by "fixed" alone.
        binarisation: One of `BINARISATIONS`.
        generator: Used by "stochastic" alone.
        seed: Used by "fixed" alone.

    Returns:
        float32 in [0, 1] for images.

    Raises:
        InputError: Unknown binarisation, or other data than images to binarise.
    """
    _check(x, binarisation)
    if binarisation == "stochastic":
        return binarise(x, generator)
    return binarise_fixed(x, index, 4 * seed + _STREAMS["train"]) if binarisation == "fixed" else _grey(x)


def view_test(
    x: Shaped[Tensor, "B F"], index: Int64[Tensor, " B"], binarisation: str, seed: int = 0
) -> Shaped[Tensor, "B F"]:
    """A batch of test examples as the model sees it: under "stochastic" and "fixed" the same draw every time.

    Args:
        x: As for `view_train`.
        index: Where the rows stand in the test part.
        binarisation: One of `BINARISATIONS`.
        seed: Of the one draw.

    Returns:
        float32 in [0, 1] for images.

    Raises:
        InputError: Unknown binarisation, or other data than images to binarise.
    """
    _check(x, binarisation)
    return _grey(x) if binarisation == "none" else binarise_fixed(x, index, 4 * seed + _STREAMS["test"])
