"""What every KL schedule keeps to."""

import inspect

import pytest

from lambda_vae.training import Constant, Cyclical, LinearWarmUp, Schedule, schedules

SCHEDULES = [Constant(), Constant(0.5), LinearWarmUp(0), LinearWarmUp(5), Cyclical(10), Cyclical(10, 3, 0.7)]
POSITIONS = [step / 7 for step in range(0, 15 * 7)]


@pytest.fixture(params=SCHEDULES, ids=repr)
def schedule(request: pytest.FixtureRequest) -> Schedule:
    return request.param


def test_weight_lies_between_zero_and_one(schedule: Schedule) -> None:
    weights = [schedule(position) for position in POSITIONS]
    assert all(isinstance(weight, float) for weight in weights)
    assert all(0.0 <= weight <= 1.0 for weight in weights)


def test_weight_depends_on_the_position_alone(schedule: Schedule) -> None:
    forwards = [schedule(position) for position in POSITIONS]
    assert [schedule(position) for position in reversed(POSITIONS)] == forwards[::-1]


def test_training_ends_at_the_full_weight(schedule: Schedule) -> None:
    assert schedule(10.0) == (schedule.weight if isinstance(schedule, Constant) else 1.0)


def test_is_a_value(schedule: Schedule) -> None:
    assert eval(repr(schedule)) == schedule
    assert hash(schedule) == hash(eval(repr(schedule)))


def test_no_schedule_is_missing() -> None:
    classes = {getattr(schedules, name) for name in schedules.__all__} - {Schedule}
    assert all(inspect.isclass(member) for member in classes)
    assert classes == {type(schedule) for schedule in SCHEDULES}
