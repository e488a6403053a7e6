import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_vae.records import RunRow
from lambda_vae.reports.pareto import frontier_panels, pareto_front
from lambda_vae.reports.tables import comparison_table


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


def planted(label: str, active: float | None, bound: float | None, iw: float | None, probe: float | None) -> RunRow:
    return RunRow(
        run=label, label=label, method="vae", status="done", active_units=active, nll_bound=bound, nll_iw=iw,
        linear_probe_accuracy=probe,
    )  # fmt: skip


ROWS = [planted("a", 7, 104.0, 99.0, 0.9), planted("b", 18, 94.0, 89.0, 0.8), planted("c", 26, 117.0, 88.0, 0.7)]


def test_both_likelihoods_stand_against_both_uses() -> None:
    panels = frontier_panels(comparison_table(ROWS))
    assert [[(p.y.key, p.x.key, p.front) for p in row] for row in panels] == [
        [("nll_bound", "active_units", (1, 2)), ("nll_bound", "linear_probe_accuracy", (1, 0))],
        [("nll_iw", "active_units", (2,)), ("nll_iw", "linear_probe_accuracy", (2, 1, 0))],
    ]
    assert panels[0][0].titles() == ("active units (more is better)", "NLL bound, nats (less is better)")


def test_a_number_that_is_missing_or_nan_is_no_point() -> None:
    rows = [*ROWS, planted("d", 30, float("nan"), 80.0, None), planted("e", None, 1.0, 1.0, 1.0)]
    panels = frontier_panels(comparison_table(rows))
    assert [[[point.index for point in p.points] for p in row] for row in panels] == [
        [[0, 1, 2], [0, 1, 2, 4]],
        [[0, 1, 2, 3], [0, 1, 2, 4]],
    ]


def test_data_without_labels_have_no_panel_of_probes() -> None:
    rows = [row.updated(linear_probe_accuracy=None) for row in ROWS]
    assert [[p.x.key for p in row] for row in frontier_panels(comparison_table(rows))] == [["active_units"]] * 2
    assert frontier_panels(comparison_table([planted("a", 7, None, None, 0.9)])) == ()


def crowd(*bounds: float) -> list[RunRow]:
    return [planted(str(i), 7 + i, bound, bound - 4, 0.9) for i, bound in enumerate(bounds)]


FAR = (92.0, 93.0, 94.0, 95.0, 96.0, 97.0, 98.0, 99.0, 104.0, 224.3)


def test_a_likelihood_far_above_the_others_is_named_and_not_drawn() -> None:
    panel = frontier_panels(comparison_table(crowd(*FAR)))[0][0]
    assert [point.index for point in panel.points] == list(range(9))
    assert panel.front == tuple(range(9))
    assert panel.note() == "above: 10 at 224"


@pytest.mark.parametrize(
    "bounds",
    [
        (94.2, 94.5, 103.0, 117.0),  # one of four is no exception
        (92.0, 95.0, 99.0, 180.0, 200.0, 220.0),  # nor is half of them
        (92.0, 95.0, 97.0, 99.0, 104.0, 117.0),
        (89.0, 89.4, 89.6, 90.3, 90.6, 90.8, 91.3, 91.7, 94.7, 97.9, 110.0),  # the others fill two fifths of the height
    ],
)
def test_otherwise_all_are_drawn(bounds: tuple[float, ...]) -> None:
    panel = frontier_panels(comparison_table(crowd(*bounds)))[0][0]
    assert (len(panel.points), panel.above, panel.note()) == (len(bounds), (), "")


def test_panels_of_a_row_leave_out_the_same_methods() -> None:
    rows = crowd(*FAR)
    rows[1:4] = [row.updated(linear_probe_accuracy=None) for row in rows[1:4]]
    units, probe = frontier_panels(comparison_table(rows))[0]
    assert units.note() == probe.note() == "above: 10 at 224"
    assert [point.index for point in probe.points] == [0, 4, 5, 6, 7, 8]
