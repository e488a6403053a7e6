import json
import math

import pytest
from five_reports import BEFORE, MODELS, measured

RECORD = json.loads(BEFORE.read_text())
#: Errors of the two reports together that their numbers may be apart.
ERRORS = 4.0


def apart(now, before):
    """Numbers further from each other than their errors allow; the data are the same, so that few are."""
    for name, (values, stderrs) in before.items():
        for i, (value, stderr) in enumerate(zip(values, stderrs, strict=True)):
            found, error = (column[i] for column in now[name])
            if not math.isfinite(value) and str(found) == str(value):
                continue
            allowed = ERRORS * math.hypot(stderr, error) + 1e-6 * max(1.0, abs(value))
            if not abs(found - value) <= allowed:
                yield f"{name}[{i}]: {found:.4g} ± {error:.2g}, before {value:.4g} ± {stderr:.2g}"


@pytest.mark.parametrize("name", MODELS)
def test_reports_are_those_of_the_release_before_within_their_errors(name):
    now, before = measured(name, iw_samples=8), RECORD["reports"][name]
    assert now["verdicts"] == before["verdicts"]
    assert now["causes"] == before["causes"]
    assert now["residual_strongest"] == pytest.approx(before["residual_strongest"], rel=0.1)
    assert now["active_directions"] == before["active_directions"]
    terms = {term: pair for term, pair in before["numbers"].items() if not term.startswith("nll_iw")}
    assert not list(apart(now["numbers"], terms))
