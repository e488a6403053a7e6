"""KL weights against their formulas."""

import math

import pytest

from lambda_vae.errors import InputError
from lambda_vae.training import Constant, Cyclical, LinearWarmUp


def test_constant_is_its_weight_everywhere() -> None:
    assert {Constant()(epoch) for epoch in (0.0, 0.5, 100.0)} == {1.0}
    assert Constant(0.25)(7.0) == 0.25


@pytest.mark.parametrize("epochs", [1, 7, 10.5])
def test_warm_up_is_a_line_from_zero_to_one(epochs: float) -> None:
    schedule = LinearWarmUp(epochs)
    assert schedule(0.0) == 0.0
    assert schedule(epochs / 4) == pytest.approx(0.25)
    assert schedule(epochs) == 1.0
    assert schedule(10 * epochs) == 1.0


def test_warm_up_over_no_epochs_is_one_from_the_first_step() -> None:
    assert LinearWarmUp(0)(0.0) == 1.0


def fu_et_al(iteration: int, total: int, cycles: int, proportion: float) -> float:
    """Eq. 6 and 7 as printed: t counts from 1, tau = mod(t - 1, ceil(T / M)) / (T / M), beta = f(tau) or 1."""
    tau = ((iteration - 1) % math.ceil(total / cycles)) / (total / cycles)
    return tau / proportion if tau <= proportion else 1.0


@pytest.mark.parametrize(("cycles", "proportion"), [(4, 0.5), (1, 0.5), (5, 0.25), (2, 1.0)])
def test_cyclical_is_that_of_fu_et_al_at_every_step(cycles: int, proportion: float) -> None:
    epochs, steps = 20, 16
    schedule = Cyclical(epochs, cycles, proportion)
    total = epochs * steps
    for iteration in range(1, total + 1):
        position = (iteration - 1) // steps + (iteration - 1) % steps / steps
        assert schedule(position) == pytest.approx(fu_et_al(iteration, total, cycles, proportion), abs=1e-12)


def test_cyclical_defaults_are_those_of_the_paper_and_it_ends_at_one() -> None:
    assert (Cyclical(8).cycles, Cyclical(8).proportion) == (4, 0.5)
    assert Cyclical(8)(8.0) == 1.0
    assert Cyclical(8)(9.5) == 1.0
    assert Cyclical(8)(0.0) == 0.0


@pytest.mark.parametrize("epochs", [-1.0, float("nan"), float("inf")])
def test_bad_warm_up_is_refused(epochs: float) -> None:
    with pytest.raises(InputError, match="give 0 or more"):
        LinearWarmUp(epochs)


@pytest.mark.parametrize("arguments", [(0,), (8, 0), (8, 4, 0.0), (8, 4, 1.1), (float("nan"),), (8, 4, float("nan"))])
def test_bad_cycles_are_refused(arguments: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="makes no sense; give at least one cycle and epoch"):
        Cyclical(*arguments)  # type: ignore[arg-type]
