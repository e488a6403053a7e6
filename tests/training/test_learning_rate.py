import math

import pytest
import torch
from small import STEPS, everything, trainer
from torch import nn

from lambda_vae.errors import InputError
from lambda_vae.training import TrainOptions
from lambda_vae.training.learning_rate import LearningRate

PAPER = LearningRate(8e-4, 400, "cosine", 1e-5)


def test_cosine_is_torchs_own():
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=8e-4)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=400, eta_min=1e-5)
    for epoch in range(400):
        assert math.isclose(optimizer.param_groups[0]["lr"], PAPER(epoch), rel_tol=1e-9), epoch
        optimizer.step()
        theirs.step()
    assert PAPER(400) == 1e-5


def test_warm_up_meets_the_cosine_and_shortens_it():
    rate = LearningRate(8e-4, 10, "cosine", 0.0, warm_up=2)
    assert [rate(0), rate(1), rate(2)] == [0.0, 4e-4, 8e-4]
    assert math.isclose(rate(6), 4e-4)  # the middle of what is left
    assert LearningRate(1e-3, 10, warm_up=5)(7) == 1e-3


def test_constant_without_warm_up_never_moves():
    assert {LearningRate(1e-3, 10)(epoch) for epoch in (0.0, 0.5, 9.9, 10.0)} == {1e-3}


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        (
            {"learning_rate_schedule": "cosine", "learning_rate_floor": 0.1},
            "learning_rate_floor is 0.1; it must be 0 to",
        ),
        ({"learning_rate_warm_up_epochs": 11}, "learning_rate_warm_up_epochs is 11; it must be 0 to 10"),
        ({"learning_rate_warm_up_epochs": float("nan")}, "learning_rate_warm_up_epochs is nan"),
    ],
)
def test_numbers_that_make_no_schedule_are_refused(settings, what):
    with pytest.raises(InputError, match=what):
        TrainOptions(epochs=10, **settings)


def test_an_unknown_schedule_is_refused():
    with pytest.raises(InputError, match="unknown learning_rate_schedule 'linear'; use one of constant, cosine"):
        LearningRate(1e-3, 10, "linear")


def test_scaling_is_by_the_number_of_processes_and_only_if_asked():
    scaled = TrainOptions(epochs=400, learning_rate=1e-4, scale_learning_rate=True)
    assert scaled.learning_rates(8).peak == pytest.approx(8e-4)
    assert TrainOptions(epochs=400, learning_rate=1e-4).learning_rates(8).peak == 1e-4


def test_each_step_is_taken_at_the_rate_of_its_position():
    trained = trainer(
        learning_rate_schedule="cosine", learning_rate_floor=1e-4, learning_rate_warm_up_epochs=1, epochs=3
    )
    seen, move = [], trained.stepper.optimizer._move

    def watched(weights, gradients, group):
        seen.append(group["lr"])
        move(weights, gradients, group)

    trained.stepper.optimizer._move = watched
    trained.fit()
    assert seen == pytest.approx([trained.stepper.learning_rate(step / STEPS) for step in range(3 * STEPS)], abs=1e-15)
    assert seen[0] == 0.0
    assert max(seen) == pytest.approx(1e-2)


def test_a_constant_schedule_is_the_run_without_one():
    plain, named = trainer(epochs=2), trainer(epochs=2, learning_rate_schedule="constant", learning_rate_floor=0.5)
    plain.fit(), named.fit()
    first, second = everything(plain), everything(named)
    assert all(torch.equal(first[name], second[name]) for name in first)
