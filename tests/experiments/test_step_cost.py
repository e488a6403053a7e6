"""Steps are timed in turns beside the plain VAE's. The seconds are planted: no test depends on a clock."""

import math

import pytest
from flat_runs import run_of

from lambda_vae.data import load
from lambda_vae.runs import METHODS, train
from lambda_vae.runs import step_cost as module
from lambda_vae.runs.step_cost import TimedRun, kept_costs, step_cost, time_steps

SMALL = {"data": "digits", "hidden": (8,), "latent_dim": 3, "batch_size": 20}
VAE, WARM, IWAE = (run_of(method=name, **SMALL) for name in ("vae", "warm-up", "iwae"))
VAE_ONCE = run_of(method="vae", epochs=1, **SMALL)


@pytest.fixture
def turns(monkeypatch):
    """Timed runs whose turns take what is planted; the list says whose turn it was, and of how many steps."""
    seen = []

    class Planted(TimedRun):  # what `_ratio` is given is checked
        def __init__(self, config, _dataset, steps):
            self.config, self.steps, self.first = config, steps, True

        def turn(self):
            name = self.config.method.name
            seen.append((name, self.steps))
            cold, self.first = 100.0 * self.first, False
            return cold + {"vae": 0.01, "warm-up": 0.02, "iwae": 0.5}[name]

    monkeypatch.setattr(module, "TimedRun", Planted)
    return seen


def test_ratios_are_kept_without_the_first_turn(turns, tmp_path):
    time_steps(tmp_path, [VAE, WARM, IWAE], load("digits"))
    assert kept_costs(tmp_path) == pytest.approx({"vae": 1.0, "warm-up": 2.0, "iwae": 50.0})
    assert turns[:2] == [("vae", 1)] * 2  # tells how many steps a turn has room for
    assert {steps for _, steps in turns[2:]} == {30}


def test_settings_are_timed_once_whatever_their_seed_and_length(turns, tmp_path):
    time_steps(tmp_path, [VAE, WARM], load("digits"))
    done = len(turns)
    time_steps(tmp_path, [VAE, run_of(method="warm-up", seed=3, epochs=7, **SMALL)], load("digits"))
    assert len(turns) == done
    time_steps(tmp_path, [VAE, WARM, IWAE], load("digits"))
    assert {method for method, _ in turns[done:]} == {"vae", "iwae"}
    assert kept_costs(tmp_path)["warm-up"] == pytest.approx(2.0)


def test_without_a_plain_vae_nothing_is_timed(turns, tmp_path):
    time_steps(tmp_path, [WARM], load("digits"))
    assert not turns
    assert kept_costs(tmp_path) == {}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_take_its_turn(method):
    timed = TimedRun(run_of(method=method, **SMALL), load("digits"), 2)
    timed.turn()
    assert math.isfinite(timed.turn())


def test_a_turn_goes_on_where_the_last_one_ended():
    timed = TimedRun(VAE, load("digits"), 50)
    trainer = timed.trainer
    assert trainer.steps == 72
    for turn in range(1, 4):
        timed.turn()
        assert trainer.epoch * trainer.steps + trainer.step == 50 * turn


def test_steps_of_a_leading_encoder_are_counted(tmp_path):
    run = run_of(method="lagging", epochs=1, aggressive_steps=20, **{**SMALL, "batch_size": 200})
    metrics, costs = train(run, tmp_path / "run"), {"lagging-aggressivesteps20": 2.0}
    assert metrics["inner_steps"] == 20.0  # two windows of ten before the first comparison
    assert step_cost(costs, run, metrics) == 2.0 * 21.0
    assert step_cost(costs, run, {}) is None
    assert "inner_steps" not in train(VAE_ONCE, tmp_path / "plain")
