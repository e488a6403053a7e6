"""An equalizer that does nothing, or never stops, says so; and a release can be planned anew."""

import math
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from lambda_vae.equalization import VarianceEqualizer, idle
from lambda_vae.errors import InputError

STD = torch.tensor([[0.3, 0.6, 0.9]])


def epochs(equalizer: VarianceEqualizer, count: int) -> VarianceEqualizer:
    for _ in range(count):
        equalizer.observe(STD)
        equalizer.end_epoch()
    return equalizer


def loop(equalizer: VarianceEqualizer, rounds: int, ends: Callable[[int, str], bool] = lambda one, at: False) -> None:
    """Train and validate in turn; `ends` says whether the epoch ends before or after the validation."""
    for one in range(rounds):
        equalizer.train()
        equalizer(STD, STD, STD)
        if ends(one, "before"):
            equalizer.end_epoch()
        equalizer.eval()
        equalizer(STD, STD, STD)
        equalizer.train()
        if ends(one, "after"):
            equalizer.end_epoch()


def test_epochs_that_nobody_ends_are_noticed_once() -> None:
    equalizer = VarianceEqualizer(3, 1.05)
    loop(equalizer, 1)
    for _ in range(3):
        equalizer.eval()
        equalizer.train()  # without a step in between, which tells nothing
    with pytest.warns(UserWarning, match=r"training a second time and lambda is still 1, for end_epoch\(\) was not"):
        loop(equalizer, 1)
    loop(equalizer, 3)
    assert equalizer.get_extra_state()[3, 0] == 5


@pytest.mark.parametrize(
    ("options", "ends"),
    [
        ({"delta": 1.05}, lambda one, at: at == "before"),
        ({"delta": 1.05}, lambda one, at: at == "after"),  # as Lightning's validation, within the epoch
        ({"delta": 1.05}, lambda one, at: at == "after" and one % 3 == 0),
        ({"delta": 1.05, "steps_per_epoch": 1}, lambda one, at: False),
        ({"delta": math.inf}, lambda one, at: False),
        ({"delta": 1.05, "managed": True}, lambda one, at: False),
    ],
)
def test_no_false_alarm(options: dict[str, float], ends: Callable[[int, str], bool]) -> None:
    managed = options.pop("managed", False)
    equalizer = VarianceEqualizer(3, **options)
    equalizer.managed = managed
    loop(equalizer, 7, ends)


def test_a_long_training_without_validation_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "PATIENCE", 5)
    equalizer = VarianceEqualizer(3, 1.05)
    for _ in range(4):
        equalizer.observe(STD)
    with pytest.warns(UserWarning, match="5 training steps were observed and lambda is still 1"):
        equalizer.observe(STD)
    for quiet in (VarianceEqualizer(3, math.inf), epochs(VarianceEqualizer(3, 1.05), 1)):
        for _ in range(9):
            quiet.observe(STD)


def test_an_epoch_in_which_nothing_was_observed_is_noticed_when_it_ends() -> None:
    equalizer = epochs(VarianceEqualizer(3, 1.05, refresh_every=4), 1)
    with pytest.warns(UserWarning, match="nothing was observed in epoch 2, so lambda knows no sigma"):
        equalizer.end_epoch()
    equalizer.end_epoch()  # once is enough
    loaded = VarianceEqualizer(3, 1.05, refresh_every=4)
    running = VarianceEqualizer(3, 1.05, refresh_every=4)
    running.observe(STD)
    loaded.load_state_dict(running.state_dict())
    loaded.end_epoch()  # what was observed before the checkpoint was observed


def with_exponent(equalizer: VarianceEqualizer) -> VarianceEqualizer:
    equalizer.exponent.fill_(3.0)
    return equalizer


def observed(**options: float) -> VarianceEqualizer:
    equalizer = VarianceEqualizer(3, 1.05, **options)
    equalizer.observe(STD.expand(1200, 3))
    return equalizer


RELEASE = {"refresh_every": 1, "release_epochs": 3, "total_epochs": 10}
NOTES = [
    (lambda: VarianceEqualizer(3, 1.05), "The equalizer has observed nothing: lambda is 1."),
    (observed, "Lambda never acted: 1,200 examples were observed, but end_epoch() was never called."),
    (lambda: observed(steps_per_epoch=9), "Lambda never acted: 1,200 examples were observed, but its first epoch is"),
    (
        lambda: epochs(VarianceEqualizer(3, 1.05), 1),
        "Lambda never acted: it is first set after 2 epochs, of which 1 ended.",
    ),
    (lambda: epochs(VarianceEqualizer(3, 1.05, **RELEASE), 4), "Lambda is still up to 14.4 after 4 of 10 epochs; the"),
    (lambda: epochs(VarianceEqualizer(3, 1.05, **RELEASE), 9), None),
    (lambda: epochs(VarianceEqualizer(3, 1.05, **RELEASE), 10), None),
    (lambda: epochs(VarianceEqualizer(3, 1.05), 4), None),
    (lambda: VarianceEqualizer(3, math.inf), None),
    (lambda: with_exponent(VarianceEqualizer(3, 1.05)), None),
]


@pytest.mark.parametrize(("make", "note"), NOTES)
def test_a_report_is_told_what_lambda_did_not_do(make: Callable[[], VarianceEqualizer], note: str | None) -> None:
    notes = make().notes()
    assert len(notes) == (note is not None)
    assert note is None or notes[0].startswith(note)


def test_epochs_until_the_release_are_counted() -> None:
    equalizer = VarianceEqualizer(3, 1.05, refresh_every=1, release_epochs=3, settle_epochs=2, total_epochs=10)
    left = [equalizer.release_left]
    for _ in range(10):
        epochs(equalizer, 1)
        left.append(equalizer.release_left)
        assert (equalizer.release_left == 0) == (not equalizer.narrows)
    assert left == [7, 6, 5, 4, 3, 2, 1, 0, 0, 0, 0]
    assert VarianceEqualizer(3, 1.05, total_epochs=4).release_left is None


def test_a_longer_training_plans_its_release_anew() -> None:
    straight, planned = (VarianceEqualizer(3, 1.05, refresh_every=1, release_epochs=2, total_epochs=n) for n in (16, 4))
    epochs(planned, 4)
    assert not planned.narrows
    planned.plan_release(16)
    trained_at = []
    epochs(straight, 4)
    for _ in range(12):
        assert torch.equal(planned.exponent, straight.exponent)
        trained_at.append(planned.narrows)
        epochs(straight, 1)
        epochs(planned, 1)
    assert trained_at == [True] * 11 + [False]
    before = planned.exponent.clone()
    planned.plan_release(16)
    assert torch.equal(planned.exponent, before)
    for total, reason in ((15, "16 epochs are done"), (1, "16 epochs are done")):
        with pytest.raises(InputError, match=f"total_epochs is {total}, but {reason}; it counts from the"):
            planned.plan_release(total)
    with pytest.raises(InputError, match="total_epochs is 1, but the release takes 2"):
        VarianceEqualizer(3, 1.05, release_epochs=2, total_epochs=4).plan_release(1)


def test_warnings_point_at_the_callers_line() -> None:
    host = nn.Sequential(nn.Linear(3, 3), VarianceEqualizer(3, 1.05))
    weights = {name: value for name, value in host.state_dict().items() if name.startswith("0.")}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        host[1].end_epoch()
        host.load_state_dict(weights)
    lines = Path(__file__).read_text().splitlines()
    assert [lines[one.lineno - 1].strip() for one in said] == ["host[1].end_epoch()", "host.load_state_dict(weights)"]
    assert {one.filename for one in said} == {__file__}
