import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lambda_vae.data import FixedView, Sequences, Split, sequence_lengths, view_test, view_train

ROWS = st.lists(st.lists(st.integers(2, 255), max_size=9), min_size=1, max_size=8)


def ragged(rows, dtype=np.uint8):
    tokens = np.array([one for row in rows for one in (*row, 1)], dtype)
    return tokens, np.cumsum([0, *(len(row) + 1 for row in rows)])


@given(ROWS, st.data())
def test_a_batch_is_its_sequences_padded_to_the_longest_of_them(rows, data):
    x = Split(*ragged(rows)[:1], None, offsets=ragged(rows)[1]).tensor()
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=6))
    batch = x.index_select(0, torch.tensor(chosen))
    longest = max(len(rows[one]) for one in chosen) + 1
    assert batch.tolist() == [[*rows[one], 1, *[0] * (longest - 1 - len(rows[one]))] for one in chosen]
    assert batch.dtype == torch.int64
    assert sequence_lengths(batch).tolist() == [len(rows[one]) + 1 for one in chosen] == x.lengths[chosen].tolist()
    assert torch.equal(x[torch.tensor(chosen)], batch)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32])
def test_the_tensor_is_over_the_memory_of_the_split(dtype):
    tokens, offsets = ragged([[7, 8], [], [9]], dtype)
    split = Split(tokens, None, offsets=offsets)
    x = split.tensor()
    assert isinstance(x, Sequences)
    assert x.tokens.data_ptr() == tokens.ctypes.data
    assert (len(split), len(x), x.nbytes) == (3, 3, tokens.nbytes + offsets.nbytes)
    assert x.device.type == "cpu"
    assert x.to("cpu").index_select(0, torch.tensor([1, 2])).tolist() == [[1, 0], [9, 1]]
    assert x.index_select(0, torch.tensor([], dtype=torch.int64)).shape == (0, 0)


def test_part_of_a_split_has_its_own_length_and_numbers():
    tokens, offsets = ragged([[7, 8], [], [9]])
    split = Split(tokens, None, rows=np.array([0, 2]), offsets=offsets)
    assert len(split) == 2
    view = FixedView(split.tensor(), split.index(), lambda x, index: view_test(x, index, "none"), batch_size=1)
    assert sorted(batch.tolist() for batch in view) == [[[7, 8, 1]], [[9, 1]]]
    assert view.head(5).tolist() == [[7, 8, 1], [9, 1, 0]]


def test_ids_pass_every_view_unchanged():
    x = torch.tensor([[3, 255, 1], [4, 1, 0]])
    assert torch.equal(view_train(x, torch.arange(2), "none"), x)
    assert torch.equal(view_test(x, torch.arange(2), "none"), x)
    with pytest.raises(ValueError, match="binarisation 'fixed' needs uint8 images"):
        view_train(x, torch.arange(2), "fixed")


def test_a_view_goes_through_all_examples_by_length_and_its_head_does_not():
    rows = [[3 + n % 50] * n for n in np.random.RandomState(0).randint(0, 40, 1003).tolist()]
    split = Split(*ragged(rows)[:1], None, offsets=ragged(rows)[1])
    view = FixedView(split.tensor(), split.index(), lambda x, index: view_test(x, index, "none"), batch_size=100)
    batches = list(view)
    assert sorted(len(one) for one in batches) == [3, *[100] * 10]
    assert [torch.equal(*both) for both in zip(batches, view, strict=True)] == [True] * 11
    found = [[one for one in row if one > 1] for batch in batches for row in batch.tolist()]
    assert sorted(found) == sorted(rows)
    assert sum(one.numel() for one in batches) < 1.1 * sum(len(row) + 1 for row in rows)
    lengths = [float(sequence_lengths(one).double().mean()) for one in batches]
    assert lengths != sorted(lengths)
    assert sequence_lengths(view.head(7)).tolist() == [len(row) + 1 for row in rows[:7]]
