"""Runs that are stopped or killed, and what --resume makes of them: always the result of an undisturbed run."""

# ruff: noqa: F811 - fixtures come by import

import os
import random
import signal

import pytest
from cli_process import TINY, bars, cli, launch, outcome, own_cache, wait_for  # noqa: F401

WORDS = ["--epochs", 120, "--checkpoint_every", 3, "--trackers", "[]", "--report", "false", *TINY]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, own_cache, bars):
    """The result of a run that nobody disturbed."""
    out = tmp_path_factory.mktemp("whole") / "run"
    process = launch(["train", "--data", bars, *WORDS, "--out", out], out.parent / "log")
    process.join()
    assert process.exitcode == 0, (out.parent / "log").read_text()
    return outcome(out)


def epochs_done(out):
    """How far a run is, from the names of its checkpoints."""
    return max((int(path.name[6:11]) for path in out.glob("checkpoints/epoch-*")), default=-1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_run_goes_on_to_the_same_result(whole, bars, tmp_path, number):
    out, log = tmp_path / "run", tmp_path / "log"
    words = ["train", "--data", bars, *WORDS, "--out", out]
    process = launch(words, log)
    wait_for(lambda: epochs_done(out) >= 3, process)
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode == 130, log.read_text()
    said = [line for line in log.read_text().splitlines() if line.startswith("lambda-vae: ")]
    assert len(said) == 1
    assert f"stopped by {number.name} at " in said[0]
    assert said[0].endswith("go on with --resume")
    assert "Traceback" not in log.read_text()
    assert not (out / "metrics.json").exists()
    again = launch([*words, "--resume"], log)
    again.join()
    assert again.exitcode == 0, log.read_text()
    assert outcome(out) == whole


def test_a_killed_run_goes_on_to_the_same_result_wherever_it_was_killed(whole, bars, tmp_path):
    out, log = tmp_path / "run", tmp_path / "log"
    words = ["train", "--data", bars, *WORDS, "--out", out, "--resume"]
    chance = random.Random(0)
    kills = 0
    for target in (0, 3, 6, 27, 51, 75, 99):
        process = launch(words, log)
        wait_for(lambda target=target: epochs_done(out) >= target or out.exists() * (not target), process)
        process.join(chance.random() * 0.15)  # anywhere: in a step, in a checkpoint, in the measuring
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += process.exitcode == -signal.SIGKILL
        if (out / "metrics.json").exists():
            break
    assert kills >= 5
    process = launch(words, log)
    process.join()
    assert process.exitcode == 0, log.read_text()
    assert outcome(out) == whole
    assert not [path for path in out.rglob("*") if path.suffix == ".safetensors" and ".tmp" in path.name]


def test_a_second_trainer_is_kept_out_until_the_first_is_dead(whole, bars, tmp_path):
    out, log = tmp_path / "run", tmp_path / "log"
    words = ["train", "--data", bars, *WORDS, "--out", out, "--resume"]
    first = launch(words, tmp_path / "first")
    wait_for(lambda: epochs_done(out) >= 0, first)
    os.kill(first.pid, signal.SIGSTOP)
    second = launch(words, log)
    second.join()
    assert second.exitcode == 2
    assert log.read_text() == (
        f"lambda-vae: another process is training in {out}; wait until it ends, or choose another --out\n"
    )
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    third = launch(words, log)
    third.join()
    assert third.exitcode == 0
    assert outcome(out) == whole
