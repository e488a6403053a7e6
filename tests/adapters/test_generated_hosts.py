"""No plausible wrong number: each host is measured right, refused, or its number comes with a word on why.

A sample; all of them, many times over, in `benchmarks/wrong_hosts.py` (results/wrong-hosts.md).
"""

import pytest
from generated_hosts import KINDS, RIGHT, WRONG, cases, made, outcome

ALL = list(cases())


def some(good):
    """Every change, each on two kinds of host, another pair for each."""
    chosen = []
    for place, name in enumerate(RIGHT if good else WRONG):
        fitting = [kind for kind, change, _ in ALL if change == name]
        chosen += [(kind, name) for kind in {fitting[place % len(fitting)], fitting[(place + 3) % len(fitting)]}]
    return sorted(chosen)


@pytest.mark.parametrize(("kind", "name"), some(True))
def test_what_is_right_is_measured_right(kind, name):
    found = outcome(*made(kind, name, seed=0, examples=200))
    assert found.verdict == "right", found.said


@pytest.mark.parametrize(("kind", "name"), some(False))
def test_what_is_wrong_in_one_way_is_never_passed_over(kind, name):
    found = outcome(*made(kind, name, seed=0, examples=200))
    assert found.verdict in ("right", "refused", "noted"), found.said
    assert "\n" not in found.said


def test_there_is_a_host_of_every_kind():
    assert {kind for kind, _, _ in ALL} == set(KINDS)
    assert len(ALL) > 150
