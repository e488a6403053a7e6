import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_vae.data import batches, epoch_order, steps_per_epoch
from lambda_vae.errors import InputError


def test_order_is_a_permutation_fixed_by_seed_and_epoch():
    order = epoch_order(100, 1, 2)
    assert order.dtype == torch.int64
    assert torch.equal(order.sort().values, torch.arange(100))
    assert torch.equal(order, epoch_order(100, 1, 2))
    others = [epoch_order(100, 1, 3), epoch_order(100, 2, 2), epoch_order(100, 2, 1)]
    assert not any(torch.equal(order, other) for other in others)


def test_order_is_the_same_for_ever_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    assert epoch_order(8, 0, 0).tolist() == GOLDEN
    assert torch.equal(before, torch.get_rng_state())


GOLDEN = [0, 1, 2, 7, 4, 5, 3, 6]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(n=st.integers(1, 60), size=st.integers(1, 12), world=st.integers(1, 5), drop=st.booleans(), data=st.data())
def test_batches_of_all_processes_visit_each_example_once(n, size, world, drop, data):
    if size * world > n:
        return
    order = epoch_order(n, 0, 0)
    ranks = [list(batches(order, size, rank=r, world=world, drop_last=drop)) for r in range(world)]
    steps = steps_per_epoch(n, size, world=world, drop_last=drop)
    assert [len(given) for given in ranks] == [steps] * world
    seen = torch.cat([batch for given in ranks for batch in given]).tolist()
    assert len(seen) == len(set(seen))
    left_out = n - len(seen)
    assert left_out == (n % (size * world) if drop or n % (size * world) < world else 0)
    assert all(1 <= len(batch) <= size for given in ranks for batch in given)
    start = data.draw(st.integers(0, steps))
    resumed = list(batches(order, size, start=start, world=world, drop_last=drop))
    assert all(torch.equal(a, b) for a, b in zip(resumed, ranks[0][start:], strict=True))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch_size": 11}, "a step takes 11 examples and the training data has 10"),
        ({"batch_size": 6, "world": 2}, "a step takes 12 examples and the training data has 10"),
        ({"batch_size": 0}, "batch size is 0"),
        ({"batch_size": 2, "rank": 2, "world": 2}, "rank is 2 of 2 processes"),
    ],
)
def test_batches_refuse_what_cannot_be_cut(given, message):
    with pytest.raises(InputError, match=message):
        batches(torch.arange(10), **given)
