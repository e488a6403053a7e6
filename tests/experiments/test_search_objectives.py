import math

import pytest

from lambda_vae.comparisons.search_objectives import (
    HighestActive,
    LowestBound,
    Objective,
    Outcome,
    Point,
    TargetCapacity,
    objective_named,
)
from lambda_vae.equalization import predicted_capacity
from lambda_vae.errors import InputError


def searched(aim: Objective, oracle, rounds=8, releases=(0, 5)):
    """The best point after so many rounds against a known landscape, and how many points that took."""
    outcomes = {}
    asked = aim.first(releases)
    for _ in range(rounds):
        outcomes |= {point: oracle(point) for point in asked}
        asked = aim.more(outcomes)
    return aim.best(outcomes), len(outcomes)


def valley(point: Point) -> Outcome:
    """Bound lowest at delta = 1.1 without release; active units fall with delta, capacity as the closed form says."""
    even = math.log(point.delta - 1.0)
    bound = 100.0 + (even - math.log(0.1)) ** 2 + (3.0 if point.release_epochs else 0.0)
    return Outcome(bound, 20.0 - 3.0 * even, 0.8 * predicted_capacity(30, point.delta))


def test_lowest_bound_closes_in_on_the_bottom_of_the_valley():
    best, tried = searched(LowestBound(), valley)
    assert best.release_epochs == 0
    assert best.delta == pytest.approx(1.1, abs=0.01)
    assert tried <= 8 + 2 * 7


def test_most_active_units_are_taken_at_the_edge_of_what_is_allowed():
    best, _ = searched(HighestActive(tolerance=0.5), valley, rounds=10)
    assert valley(best).nll_bound <= 100.0 + 0.5 + 0.01
    edge = math.log(0.1) - 0.5**0.5
    assert math.log(best.delta - 1.0) == pytest.approx(edge, abs=0.15)
    nothing, _ = searched(HighestActive(tolerance=0.0), valley, rounds=10)
    assert nothing == searched(LowestBound(), valley, rounds=10)[0]


@pytest.mark.parametrize("capacity", [15.0, 30.0, 60.0])
def test_a_target_capacity_is_met_though_the_closed_form_is_a_fifth_too_high(capacity):
    best, tried = searched(TargetCapacity(capacity, 30), valley)
    assert valley(best).snr_capacity == pytest.approx(capacity, abs=0.5)
    assert tried <= 6


def test_a_search_ends_where_nothing_is_left_to_gain():
    done = {Point(1.01): Outcome(1.0, 1.0, 69.3)}
    assert TargetCapacity(69.4, 30).more(done) == []


def test_points_never_repeat():
    outcomes = {}
    aim = LowestBound()
    asked = aim.first((0,))
    for _ in range(12):
        assert not set(asked) & outcomes.keys()
        outcomes |= {point: valley(point) for point in asked}
        asked = aim.more(outcomes)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ({"name": "best"}, "unknown objective 'best'; it is one of bound, active, capacity"),
        ({"name": "capacity"}, "`objective=capacity` needs `capacity`"),
        ({"name": "bound", "tolerance": 1.0}, "`tolerance` belongs to `objective=active`, and the objective is bound"),
        ({"name": "active", "capacity": 1.0}, "`capacity` belongs to `objective=capacity`"),
        ({"name": "active", "tolerance": -1.0}, "tolerance is -1.0"),
        ({"name": "capacity", "capacity": math.nan}, "capacity is nan"),
    ],
)
def test_bad_aims_are_refused(words, what):
    with pytest.raises(InputError, match=what):
        objective_named(**{"tolerance": None, "capacity": None, "latent_dim": 30, **words})


def test_every_aim_has_a_name():
    assert isinstance(objective_named("bound", tolerance=None, capacity=None, latent_dim=30), LowestBound)
    assert objective_named("active", tolerance=None, capacity=None, latent_dim=30) == HighestActive(1.0)
    assert objective_named("capacity", tolerance=None, capacity=40.0, latent_dim=30) == TargetCapacity(40.0, 30)
