"""Batches of sequences of about one length."""

from unittest.mock import Mock

import numpy as np
import pytest
import small
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st

from lambda_vae.data import Sequences, Split, epoch_order, sequence_lengths, view_train
from lambda_vae.data.order import in_buckets
from lambda_vae.training import TrainOptions
from lambda_vae.training.draws import Draws

LENGTHS = np.random.RandomState(0).randint(2, 60, 3001)


def stored():
    tokens = np.concatenate([[*np.full(n - 1, 3 + i % 7), 1] for i, n in enumerate(LENGTHS)]).astype(np.uint8)
    return Split(tokens, None, offsets=np.cumsum([0, *LENGTHS])).tensor()


def draws(x, batch_size=10, processes=1, process=0, seed=0, rows=None):
    accelerator = Mock(Accelerator, device=torch.device("cpu"), process_index=process, num_processes=processes)
    options = TrainOptions(batch_size=batch_size, seed=seed)
    return Draws(
        x, lambda x, index, generator: view_train(x, index, "none"), small.vae(), options, accelerator, rows=rows
    )


def padding(x, steps):
    batches = [x.index_select(0, rows) for rows in steps]
    return 1 - sum(int(sequence_lengths(one).sum()) for one in batches) / sum(one.numel() for one in batches)


def test_the_share_of_padding_falls():
    x = stored()
    steps = draws(x).epoch(0)
    shuffled = epoch_order(3001, seed=0, epoch=0)[:3000].view(-1, 10)
    assert padding(x, shuffled) > 0.4
    assert padding(x, steps) < 0.06


@given(st.integers(1, 400), st.integers(1, 9), st.integers(0, 3), st.integers(0, 3))
def test_each_example_is_seen_once_and_seed_and_epoch_say_when(n, batch, seed, epoch):
    lengths = torch.from_numpy(LENGTHS[:n])
    order = epoch_order(n, seed, epoch)[: n // batch * batch]
    if not len(order):
        return
    found = in_buckets(order, lengths[order], batch, seed, epoch)
    assert sorted(found.tolist()) == sorted(order.tolist())
    assert torch.equal(in_buckets(order, lengths[order], batch, seed, epoch), found)


def test_epochs_differ_and_the_lengths_of_batches_come_in_no_order():
    x = stored()
    first, second = (draws(x).epoch(epoch) for epoch in (0, 1))
    assert not torch.equal(first, second)
    assert 0.3 < float((x.lengths[first].amax(1).diff() > 0).double().mean()) < 0.7
    assert {frozenset(one) for one in first.tolist()}.isdisjoint(frozenset(one) for one in second.tolist())


def test_any_number_of_processes_sees_the_same_batches():
    x = stored()
    alone = draws(x, 10)
    shares = [draws(x, 5, processes=2, process=process) for process in (0, 1)]
    assert torch.equal(alone.epoch(3), shares[0].epoch(3))
    rows = alone.epoch(3)[7]
    whole, *parts = (one.batch(rows, 1.0, 7) for one in (alone, *shares))
    assert torch.equal(torch.cat([part.x for part in parts]), whole.x)
    assert whole.x.dtype == torch.int64


def test_a_part_of_the_data_goes_by_its_own_lengths():
    x, rows = stored(), torch.arange(0, 3001, 3)
    steps = draws(x, rows=rows).epoch(0)
    assert set(steps.flatten().tolist()) <= set(rows.tolist())
    assert padding(x, steps) < 0.1


@pytest.mark.parametrize("epoch", [0, 5])
def test_other_data_keep_their_order(epoch):
    steps = draws(torch.zeros(3001, 4)).epoch(epoch)
    assert torch.equal(steps, epoch_order(3001, seed=0, epoch=epoch)[:3000].view(300, 10))


def test_fixed_examples_are_those_of_other_data():
    x, _ = draws(stored()).fixed(4)
    assert sequence_lengths(x).tolist() == LENGTHS[epoch_order(3001, seed=0, epoch=0)[:4].numpy()].tolist()
    assert isinstance(draws(stored()).x, Sequences)
