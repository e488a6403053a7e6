import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_vae.reports.pareto import pareto_front


@pytest.mark.parametrize(
    ("units", "bounds", "front"),
    [
        ([7, 19, 27, 17], [104.6, 94.7, 123.8, 102.2], [1, 2]),
        ([5], [1.0], [0]),
        ([], [], []),
        ([5, 5], [1.0, 1.0], [0, 1]),
        ([5, 5], [2.0, 1.0], [1]),
    ],
)
def test_front_of_known_points(units: list[float], bounds: list[float], front: list[int]) -> None:
    assert pareto_front(units, bounds) == front


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(80, 120)), min_size=1, max_size=12))
def test_every_point_is_on_the_front_or_beaten_by_it(points: list[tuple[int, int]]) -> None:
    units, bounds = [float(u) for u, _ in points], [float(b) for _, b in points]
    front = pareto_front(units, bounds)
    for i, (u, b) in enumerate(points):
        beaten = any(units[j] >= u and bounds[j] <= b and (units[j], bounds[j]) != (u, b) for j in front)
        assert beaten != (i in front)
