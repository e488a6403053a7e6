"""Checks of data before training; each fault is one sentence."""

import numpy as np
from numpy.typing import NDArray

from lambda_vae.data.dataset import Dataset
from lambda_vae.data.source import CHUNK_BYTES, Part, Source
from lambda_vae.errors import InputError

__all__ = [
    "check_batch",
    "check_brightness",
    "check_finite",
    "check_likelihood",
    "check_no_sequences",
    "check_range",
    "check_source",
]

MIN_TRAIN = 2
MIN_TEST = 1

#: A set without any brighter pixel is taken for one that was not scaled to 0..255: levels 0 to 16, or class numbers.
DARK = 32


def check_finite(chunk: NDArray[np.floating], first: int, where: str) -> None:
    """Raise unless every number is finite."""
    bad = ~np.isfinite(chunk.reshape(len(chunk), -1)).all(axis=1)
    if bad.any():
        row = first + int(bad.argmax())
        raise InputError(
            f"{where} has NaN or infinity (or a number beyond float32) in row {row}; clean it or leave it out"
        )


def check_range(
    chunk: NDArray[np.number] | NDArray[np.bool_], low: int, high: int, first: int, where: str, *, hint: str = ""
) -> None:
    """Raise unless every number lies in [low, high]."""
    flat = chunk.reshape(len(chunk), -1)
    bad = (flat < low) | (flat > high)
    if bad.any():
        row, column = np.unravel_index(int(bad.argmax()), bad.shape)
        raise InputError(
            f"{where} has {flat[row, column]:g} in row {first + int(row)}; values must lie in [{low:g}, {high:g}]"
            + (f": {hint}" if hint else "")
        )


def _check_part(where: str, part: Part, least: int) -> None:
    if part.count < least:
        raise InputError(f"{where} has {part.count} example{'s' * (part.count != 1)}; at least {least} are needed")
    if part.labels is not None and part.labels.shape != (part.count,):
        raise InputError(f"{where} has {part.count} examples and labels of shape {part.labels.shape}; they must agree")


def check_source(name: str, source: Source) -> None:
    """Raise unless there are enough examples, examples are not empty, and labels agree with them."""
    if 0 in source.shape or not source.shape:
        raise InputError(f"{name}: one example has shape {source.shape}; it must hold at least one number")
    total = source.train.count + source.test.count
    if total < MIN_TRAIN + MIN_TEST:
        raise InputError(
            f"{name} has {total} example{'s' * (total != 1)}; {MIN_TRAIN} to train and {MIN_TEST} to test are the least"
        )
    _check_part(f"the training part of {name}", source.train, MIN_TRAIN)
    _check_part(f"the test part of {name}", source.test, MIN_TEST)


def check_brightness(name: str, brightest: int) -> None:
    """Raise where the brightest pixel is between 0 and 32, so that unscaled images would be read as nearly black."""
    if 0 < brightest < DARK:
        raise InputError(
            f"the brightest pixel of {name} is {brightest}, where white is 255; scale the images to 0..255, such as "
            f"(x * (255 / {brightest})).astype('uint8'); numbers that are no brightness are vectors: floats [N, F]"
        )


def check_batch(n: int, batch: int) -> None:
    """Raise unless the data has enough examples for a step.

    Args:
        n: Number of training examples.
        batch: Examples a step, on all processes together.

    Raises:
        InputError: `batch` exceeds `n`.
    """
    if batch > n:
        raise InputError(
            f"a step takes {batch} examples and the training data has {n}; use a batch size of at most {n}"
        )


def check_likelihood(data: Dataset, likelihood: str) -> None:
    """Raise unless the values of `data` are in the support that `likelihood` assumes.

    Bernoulli wants images, or vectors in [0, 1]; a logistic mixture wants images; every other likelihood takes any
    finite number, and `load` lets no others through.

    Args:
        data: The data set; read through once, in chunks, if it holds vectors.
        likelihood: Its name, "bernoulli" or another.

    Raises:
        InputError: A value lies outside; the message gives it and its row.
    """
    if likelihood.startswith("logistic-mixture") and data.kind != "image":
        raise InputError(
            f"{data.name} holds vectors, and the likelihood {likelihood} is one of images with 256 values; use gaussian"
        )
    if likelihood != "bernoulli" or data.kind != "vector":
        return
    for part, split in (("train", data.train), ("test", data.test)):
        step = max(1, CHUNK_BYTES // (4 * data.features))
        for start in range(0, len(split), step):
            where = f"{data.name} ({part}), under a Bernoulli likelihood,"
            check_range(np.asarray(split.x[start : start + step]), 0, 1, start, where)


def check_no_sequences(data: Dataset, what: str) -> None:
    """Raise if the data are sequences.

    Args:
        data: The data set.
        what: What takes other data only, as a sentence begins.

    Raises:
        InputError: They are.
    """
    if data.kind == "sequence":
        raise InputError(f"{what} takes images and vectors, and {data.name} holds sequences")
