"""Memory does not grow with the number of examples: what is alive while the data are gone through."""

import gc

import pytest
import torch
from torch import Tensor

from lambda_vae.any_vae import diagnose
from lambda_vae.likelihoods import gaussian

DIMENSIONS, BATCH = 64, 50
_CHANCE = torch.Generator().manual_seed(0)
MIX = torch.randn(4, DIMENSIONS, generator=_CHANCE)
WEIGHTS = torch.randn(DIMENSIONS, 4, generator=_CHANCE) / 8.0


def held():
    """Bytes of all tensors that came since `gc.freeze`, each storage once."""
    storages = [one.untyped_storage() for one in gc.get_objects() if type(one) is Tensor]
    return sum({one.data_ptr(): one.nbytes() for one in storages}.values())


class Made:
    """Batches that are made when they are asked for; at the last it is looked at what is held."""

    def __init__(self, examples):
        self.examples, self.most = examples, 0

    def __iter__(self):
        for start in range(0, self.examples, BATCH):
            if start == self.examples - BATCH:
                self.most = max(self.most, held())
            number = torch.arange(start, start + BATCH, dtype=torch.float64)[:, None]
            yield torch.sin(number * torch.linspace(0.3, 2.9, 4)).float()


@pytest.fixture(autouse=True)
def frozen():
    gc.freeze()  # what was there before is not looked through again and again
    yield
    gc.unfreeze()


def encode(x):
    mu = torch.sin(x @ MIX)
    return mu, -2.0 + 0.1 * mu


def test_what_is_held_does_not_grow_with_the_examples():
    few, many = Made(500), Made(1500)
    for data in (few, many):
        report = diagnose(encode, gaussian(lambda z: z @ WEIGHTS, std=0.5), data)
        assert (report.examples, report.residual is None) == (data.examples, False)
    codes = 4 * DIMENSIONS * (many.examples - few.examples)  # 256 kB
    assert many.most - few.most < codes / 4
