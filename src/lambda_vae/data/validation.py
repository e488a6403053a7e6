"""A part of the training data held out to measure on, so that no choice is ever made on the test set."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from lambda_vae.data.dataset import Dataset
from lambda_vae.errors import InputError
from lambda_vae.rng import generator_for

__all__ = ["check_validation", "held_out_rows", "hold_out"]

#: Two are the fewest of which anything has a spread.
_LEAST = 2


def check_validation(count: int) -> None:
    """Raise unless a split of that size can be measured on.

    Args:
        count: Examples to hold out; 0 for none.

    Raises:
        InputError: It is negative, or 1.
    """
    if count and count < _LEAST:
        raise InputError(f"validation is {count}; it must be 0 (measure on the test set) or at least {_LEAST}")


def held_out_rows(n: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which rows stay for training and which are held out, both in rising order.

    They are the same for every run on data of that length and every seed; a larger split contains a smaller one.

    Args:
        n: Training examples.
        count: How many to hold out.

    Example:
        >>> kept, held = held_out_rows(10, 3)
        >>> len(kept), len(held), sorted([*kept, *held]) == list(range(10))
        (7, 3, True)
    """
    order = torch.randperm(n, generator=generator_for(f"lambda-vae validation {n}"))
    return order[count:].sort().values.numpy(), order[:count].sort().values.numpy()


def hold_out(data: Dataset, count: int, batch: int) -> Dataset:
    """Return the data with part of the training set in the place of the test set; nothing is copied but row numbers.

    Args:
        data: As loaded.
        count: Examples to hold out; 0 gives `data` itself.
        batch: Examples a training step; so many must be left.

    Raises:
        InputError: The split is too small, or too little is left to train on.
    """
    check_validation(count)
    if not count:
        return data
    n, least = len(data.train), max(batch, _LEAST)
    if n - count < least:
        raise InputError(
            f"validation is {count}, which leaves {max(n - count, 0)} of {n} training examples, fewer than a batch of "
            f"{batch}; " + (f"use at most {n - least}" if n - least >= _LEAST else "use a smaller batch, or more data")
        )
    train, held = (replace(data.train, rows=rows) for rows in held_out_rows(n, count))
    return replace(data, train=train, test=held, measured_on="validation")
