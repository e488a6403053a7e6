"""A part of the training data held out: which rows, and that nothing else is copied or lost."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lambda_vae.data import Dataset, Split, hold_out
from lambda_vae.data.validation import held_out_rows
from lambda_vae.errors import InputError


def dataset(n: int = 40, folder=None) -> Dataset:
    x = np.arange(n * 3, dtype=np.float32).reshape(n, 3)
    if folder is not None:
        np.save(folder / "x.npy", x)
        x = np.load(folder / "x.npy", mmap_mode="r")
    y = np.arange(n, dtype=np.int64)
    return Dataset("rows", "vector", (3,), Split(x, y), Split(x[:5] + 1000, y[:5]), "0" * 64, "made up", None)


@given(st.integers(4, 300), st.data())
def test_every_row_is_on_one_side(n: int, data) -> None:
    count = data.draw(st.integers(2, n - 2))
    kept, held = held_out_rows(n, count)
    assert len(held) == count
    assert sorted([*kept, *held]) == list(range(n))
    assert list(kept) == sorted(kept)
    assert list(held) == sorted(held)


def test_rows_are_the_same_every_time_and_spread_over_the_data() -> None:
    first, again = held_out_rows(1000, 100)[1], held_out_rows(1000, 100)[1]
    assert np.array_equal(first, again)
    assert set(first) < set(held_out_rows(1000, 200)[1])
    # A random tenth: its mean lies within four standard errors of the middle, and it is no run of neighbours.
    assert abs(first.mean() - 499.5) < 4 * 1000 / 12**0.5 / 10
    assert (np.diff(first) == 1).mean() < 0.3


def test_the_split_takes_the_place_of_the_test_set() -> None:
    data = dataset()
    split = hold_out(data, 8, batch=10)
    assert (len(split.train), len(split.test), split.measured_on) == (32, 8, "validation")
    rows = torch.cat((split.train.index(), split.test.index()))
    assert sorted(rows.tolist()) == list(range(40))
    held = split.test.tensor().index_select(0, split.test.index())
    assert held.max() < 1000, "a row of the test set"
    labels = split.test.labels()
    assert labels is not None
    assert torch.equal(labels[split.test.index()].float() * 3, held[:, 0])


def test_nothing_is_copied(tmp_path) -> None:
    data = dataset(folder=tmp_path)
    split = hold_out(data, 8, batch=10)
    assert split.train.x is split.test.x is data.train.x
    assert isinstance(split.train.x, np.memmap)
    assert split.train.tensor().data_ptr() == data.train.x.ctypes.data


def test_without_a_split_the_data_are_what_they_were() -> None:
    data = dataset()
    assert hold_out(data, 0, batch=10) is data
    assert data.measured_on == "test"
    assert torch.equal(data.train.index(), torch.arange(40))


@pytest.mark.parametrize(
    ("count", "batch", "what"),
    [
        (-3, 10, r"validation is -3; it must be 0 \(measure on the test set\) or at least 2"),
        (1, 10, "validation is 1; it must be 0"),
        (31, 10, "validation is 31, which leaves 9 of 40 training examples, fewer than a batch of 10; use at most 30"),
        (400, 10, "leaves 0 of 40 training examples, .* use at most 30"),
        (2, 39, "fewer than a batch of 39; use a smaller batch, or more data"),
        (39, 1, "leaves 1 of 40 .* use at most 38"),
    ],
)
def test_a_split_that_leaves_too_little_is_refused(count: int, batch: int, what: str) -> None:
    with pytest.raises(InputError, match=what):
        hold_out(dataset(), count, batch)


def test_the_largest_split_that_is_allowed() -> None:
    assert len(hold_out(dataset(), 30, batch=10).train) == 10
