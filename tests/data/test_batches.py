import torch

from lambda_vae.data import epoch_order


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
