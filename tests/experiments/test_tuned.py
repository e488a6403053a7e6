"""What a search says of its outcomes."""

from dataclasses import replace

import pytest

from lambda_vae import RunConfig
from lambda_vae.cli.training import tuned_table
from lambda_vae.comparisons._tune import Tuned
from lambda_vae.comparisons.search_objectives import Outcome, Point

SAME = Outcome(26.781, 5.0, 0.1)
WORST = Outcome(45.5, 4.0, 0.7)


@pytest.mark.parametrize(
    ("other", "tells"),
    [
        (replace(SAME, nll_bound=26.782), False),
        (replace(SAME, nll_bound=26.80), True),
        (replace(SAME, active_units=5.5), True),
        (None, True),
    ],
)
def test_a_search_that_does_not_tell_one_delta_from_another_says_so(other: Outcome | None, tells: bool) -> None:
    best, unreleased = Point(1.01, 10), Point(1.05, 0)
    outcomes = {best: SAME, unreleased: WORST} | ({Point(1.25, 10): other} if other else {})
    found = Tuned(best, outcomes, RunConfig())
    assert found.tells_delta == tells
    assert (tuned_table(found).caption is None) == tells
