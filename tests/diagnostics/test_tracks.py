"""Histories read back: measured gradients taken, missing ones solved for, what is not there refused."""

import math

import numpy as np
import pytest
import torch

from lambda_vae.diagnostics import TrainingMoments, training_tracks
from lambda_vae.errors import InputError

EXPONENT = torch.tensor([1.0, 3.0, 20.0])


def history(epochs: int = 4) -> dict:
    """What training keeps, from real moments of made-up batches."""
    generator, rows = torch.Generator().manual_seed(0), []
    for epoch in range(epochs):
        moments = TrainingMoments(3)
        logvar = torch.tensor([-2.0, -0.6, -0.05]) + 0.02 * torch.randn(500, 3, generator=generator)
        eps, mu = (torch.randn(500, 3, generator=generator) for _ in range(2))
        moments.update(-(epoch + 1) * 0.1 * eps, eps, mu, logvar)
        rows.append({**moments.compute(EXPONENT).dimensions, "exponent": EXPONENT.tolist()})
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {"epochs": list(range(1, epochs + 1)), "kl_weight": [0.5, 0.5, 1.0, 1.0], "dimensions": columns}


def test_the_first_epoch_is_left_out_and_the_ratio_is_per_weight():
    kept, record = training_tracks(history()), history()
    assert kept.distance.shape == (3, 3)
    assert kept.kl_weight.tolist() == [0.5, 0.75, 1.0]
    ratios = np.array(record["dimensions"]["gradient_ratio"])
    np.testing.assert_allclose(kept.ratio[1], ratios[2] / 0.75, rtol=1e-12)
    assert kept.settled.tolist() == [[False] * 3, [False] * 3, [True] * 3]
    assert kept.active.all()


def test_a_history_without_gradients_is_solved_for_them():
    record = history()
    kept = training_tracks(record)
    for name in ("reconstruction_gradient", "sampling_std"):
        del record["dimensions"][name]
    solved = training_tracks(record)
    np.testing.assert_allclose(solved.pull, kept.pull, rtol=1e-3)
    np.testing.assert_allclose(solved.noise, kept.noise, rtol=1e-6)
    del record["dimensions"]["exponent"]
    assert training_tracks(record).exponent.tolist() == np.ones((3, 3)).tolist()


def test_null_stays_unknown():
    record = history()
    record["dimensions"]["gradient_ratio"][2][1] = None
    assert math.isnan(training_tracks(record).ratio[1, 1])


def test_a_history_that_does_not_hold_it_is_refused():
    record = history()
    del record["dimensions"]["gradient_ratio"]
    with pytest.raises(InputError, match="the history has no gradient_ratio of the dimensions; train again"):
        training_tracks(record)
    with pytest.raises(InputError, match="no std_mean"):
        training_tracks({})
    with pytest.raises(InputError, match="has 1 epoch"):
        training_tracks({**history(1), "kl_weight": [1.0]})
