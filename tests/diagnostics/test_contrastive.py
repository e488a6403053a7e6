"""InfoNCE: below the truth and its cap, equal to the mixture estimate on one batch of all, blind critics at 0."""

import math

import pytest
import torch
from exact_models import GaussianChannel

from lambda_vae.errors import InputError
from lambda_vae.estimation._mutual_information import mutual_information
from lambda_vae.estimation.contrastive import contrastive_information, info_nce

TRUTH = GaussianChannel(torch.diag(torch.tensor([2.0, 0.5])), torch.tensor([0.5, 0.7]))


def test_is_torch_s_cross_entropy(normal64):
    scores = normal64(5, 16, 16)
    labels = torch.arange(16).expand(5, -1)
    by_torch = math.log(16) - float(torch.nn.functional.cross_entropy(scores.mT, labels))
    assert info_nce(scores).value == pytest.approx(by_torch, abs=1e-12)


def test_rises_to_the_truth_with_the_batch_and_stays_below_its_cap(generator):
    codes = TRUTH.codes(2048, generator)
    found = [contrastive_information(*codes, generator, batch_size=size) for size in (4, 16, 128, 1024)]
    for one, size in zip(found, (4, 16, 128, 1024), strict=True):
        assert one.cap == pytest.approx(math.log(size))
        assert one.value < min(one.cap, TRUTH.information + 4 * one.stderr)
    values = [one.value for one in found]
    assert values == sorted(values)
    assert [one.saturated for one in found] == [True, True, False, False]
    assert values[-1] == pytest.approx(TRUTH.information, abs=4 * found[-1].stderr + 0.02)


def test_one_batch_of_all_is_the_mixture_estimate(normal64):
    """Up to the order of the batch, the same pairs and the same noise."""
    mu, logvar = normal64(60, 2), normal64(60, 2)
    one, all_ = (
        function(mu, logvar, torch.Generator().manual_seed(2))
        for function in (lambda *args: contrastive_information(*args, batch_size=60), mutual_information)
    )
    assert one.value == pytest.approx(all_.value, abs=1e-6)
    assert one.own_share == pytest.approx(all_.own_share, abs=1e-6)


def test_a_wrong_critic_gives_less(normal64):
    z = normal64(40, 32, 1)
    x = z + 0.5 * normal64(40, 32, 1)
    right, wrong = (-(z - sign * x.mT).square() for sign in (1.0, -1.0))
    assert info_nce(right).value > 0.5
    assert info_nce(wrong).value < 0.0
    assert info_nce(torch.zeros(4, 8, 8)).value == pytest.approx(0.0, abs=1e-12)


def test_what_cannot_be_told(generator):
    assert "1 batches of 1" in info_nce(torch.zeros(1, 1, 1)).reason
    assert math.isnan(info_nce(torch.zeros(0, 4, 4)).value)
    assert info_nce(torch.full((2, 4, 4), torch.nan)).reason == "scores are not finite"
    frozen = contrastive_information(torch.zeros(9, 1), torch.full((9, 1), -torch.inf), generator, batch_size=3)
    assert "zero variance" in frozen.reason
    for size in (1, 10):
        with pytest.raises(InputError, match=f"batch_size is {size}; it must be 2 to 9"):
            contrastive_information(torch.zeros(9, 1), torch.zeros(9, 1), generator, batch_size=size)
