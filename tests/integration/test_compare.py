"""`compare`: the same data, order and noise for all, forks, failures, interruptions."""

# ruff: noqa: F811 - fixtures come by import

import json
import os
import signal
import subprocess
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from cli_process import TINY, bars, cli, launch, outcome, own_cache, tree, wait_for  # noqa: F401

from lambda_vae.comparisons import executor as engine

SHARED = ["--checkpoint_every", 2, "--trackers", "[]", *TINY]
METHODS = ["--methods", "vae", "lambda-vae", "--delta", 1.5, "--release_epochs", 0, 2, "--epochs", 6]
RUNS = ("vae-seed0", "lambda-vae-delta1.5-seed0", "lambda-vae-delta1.5-release2-seed0")
RELEASED = RUNS[2]


class Forked:
    """Stands for subprocess.Popen; forks a process that has imported everything instead of starting an interpreter."""

    def __init__(self, command, stdout, **_settings):
        assert command[1:3] == ["-m", "lambda_vae.cli"]
        self.process = launch(command[3:], stdout.name)
        self.pid = self.process.pid

    def poll(self):
        return None if self.process.is_alive() else self.process.exitcode

    @property
    def returncode(self):
        return self.process.exitcode

    def terminate(self):
        self.process.terminate()

    def wait(self):
        self.process.join()


@pytest.fixture
def forked(monkeypatch):
    """Runs start fast."""
    monkeypatch.setattr(engine, "subprocess", SimpleNamespace(Popen=Forked, DEVNULL=subprocess.DEVNULL))
    monkeypatch.setattr(engine, "_POLL_SECONDS", 0.05)


@pytest.fixture(scope="module")
def _folder(tmp_path_factory):
    return tmp_path_factory.mktemp("compare")


@pytest.fixture
def whole(_folder, cli, bars, forked):
    """One finished comparison that the tests of this file share and do not change."""
    out = _folder / "whole"
    if not out.exists():
        said = cli("compare", "--data", bars, *METHODS, *SHARED, "--workers", 2, "--out", out)
        assert said.code == 0, said.err + said.out
        assert "report:" in said.out
    return out


def outcomes(out, names=RUNS):
    return {name: outcome(out / "runs" / name) for name in names}


def test_compare_leaves_a_table_with_every_measure(whole):
    rows = json.loads((whole / "table.json").read_text())
    assert [row["run"] for row in rows] == list(RUNS)
    for row in rows:
        metrics = json.loads((whole / row["path"] / "metrics.json").read_text())
        here = {"path": f"runs/{row['run']}", "step_cost": row["step_cost"]}
        assert row == {**{k: v for k, v in metrics.items() if k != "dimensions"}, **here}
        assert row["step_cost"] > 0.0
        assert row["status"] == "done"
    assert [row["delta"] for row in rows] == [None, 1.5, 1.5]
    assert (whole / "report.html").exists()
    assert not list(whole.glob("runs/*/report.html"))  # the comparison has one for all
    assert json.loads((whole / "provenance.json").read_text())["seeds"] == [0]


def test_all_methods_see_the_same_at_first(whole):
    """The first epoch of every method starts from the same weights and sees the same data, order and noise."""
    first = [json.loads((whole / "runs" / name / "history.json").read_text()) for name in RUNS]
    # λ is 1 in the first epoch, so that the methods have not parted yet.
    assert len({history["reconstruction"][0] for history in first}) == 1
    assert len({history["reconstruction"][-1] for history in first}) == 3


def test_a_released_run_forked_from_its_parent_equals_one_trained_from_scratch(whole, cli, tmp_path):
    config = whole / "configs" / f"{RELEASED}.yaml"
    assert cli("train", "--config", config, "--out", tmp_path / "run", "--report", "false").code == 0
    assert outcome(tmp_path / "run") == outcome(whole / "runs" / RELEASED)
    parent = outcome(whole / "runs" / RUNS[1])
    assert parent["weights"] != outcome(tmp_path / "run")["weights"]
    # It did start from the parent's checkpoint: the times of the shared epochs are the parent's.
    seconds = [json.loads((whole / "runs" / name / "history.json").read_text())["seconds"] for name in RUNS[1:]]
    assert seconds[0][:3] == seconds[1][:3]
    assert seconds[0][3:] != seconds[1][3:]


def test_runs_of_a_results_page_count_as_done_and_the_others_are_trained(whole, cli, bars, forked, tmp_path):
    assert cli("report", whole, "--results", tmp_path / "page.md").code == 0
    methods = ["--methods", "vae", "lambda-vae", "--delta", 1.5, "--epochs", 6, "--seeds", 2]
    words = ["compare", "--data", bars, *methods, *SHARED, "--workers", 2, "--out", tmp_path / "out"]
    said = cli(*words, "--known", tmp_path / "none.json")
    assert said.code == 2
    assert not (tmp_path / "out").exists()
    said = cli(*words, "--known", tmp_path / "page.json")
    assert said.code == 0, said.err
    rows = {row["run"]: row for row in json.loads((tmp_path / "out" / "table.json").read_text())}
    assert len(rows) == 4
    there = {row["run"]: row["seconds"] for row in json.loads((whole / "table.json").read_text())}
    assert [rows[name]["seconds"] == there[name] for name in RUNS[:2]] == [True, True], "a known run was trained anew"
    made = json.loads((tmp_path / "out" / "provenance.json").read_text())["runs"]
    assert [name for name, record in made.items() if record.get("known")] == list(RUNS[:2])


def test_a_fork_after_the_release_began_is_refused(whole, cli, tmp_path):
    late = sorted((whole / "runs" / RUNS[1] / "checkpoints").iterdir())[-1]
    config = whole / "configs" / f"{RELEASED}.yaml"
    said = cli("train", "--config", config, "--fork", late, "--out", tmp_path / "run")
    assert said.code == 2
    assert "lies after epoch 3, where the release parts the runs" in said.err
    assert not (tmp_path / "run").exists()


def test_a_fork_of_another_run_is_refused(whole, cli, tmp_path):
    other = sorted((whole / "runs" / "vae-seed0" / "checkpoints").iterdir())[0]
    config = whole / "configs" / f"{RELEASED}.yaml"
    said = cli("train", "--config", config, "--fork", other, "--out", tmp_path / "run")
    assert said.code == 2
    assert "is of another run" in said.err
    assert not (tmp_path / "run").exists()


def test_compare_twice_gives_the_same_bit_for_bit_from_its_own_config(whole, cli, tmp_path):
    again = tmp_path / "again"
    said = cli("compare", "--config", whole / "config.yaml", "--workers", 3, "--out", again)
    assert said.code == 0, said.err
    assert outcomes(again) == outcomes(whole)
    assert (again / "config.yaml").read_text() == (whole / "config.yaml").read_text()


def test_a_finished_comparison_is_kept(whole, cli, bars):
    before = {name: content for name, content in tree(whole).items() if name.startswith(("runs", "configs"))}
    words = ("compare", "--data", bars, *METHODS, *SHARED, "--out", whole)
    refused = cli(*words)
    assert refused.code == 2
    assert "holds a comparison already; add --resume" in refused.err
    assert cli(*words, "--resume").code == 0
    assert {name: content for name, content in tree(whole).items() if name in before} == before


OTHERS = {
    "epochs": (["--epochs", 7], "its epochs is 6, here it is 7"),
    "other methods and epochs": (["--methods", "warm-up", "--epochs", 7], "its epochs is 6, here it is 7"),
    "latent_dim": (["--latent_dim", 4], "its latent_dim is 3, here it is 4"),
}


@pytest.mark.parametrize(("words", "what"), OTHERS.values(), ids=OTHERS.keys())
def test_another_comparison_is_not_mixed_in(whole, cli, bars, words, what):
    before = tree(whole)
    said = cli("compare", "--data", bars, *METHODS, *SHARED, "--out", whole, "--resume", *words)
    assert said.code == 2
    assert what in said.err
    assert tree(whole) == before


def test_a_comparison_is_no_run(whole, cli, bars):
    said = cli("diagnose", whole)
    assert said.code == 2
    assert f"give one of its runs, a folder in {whole / 'runs'}" in said.err
    said = cli("train", "--data", bars, *TINY, "--out", whole, "--resume")
    assert said.code == 2
    assert "holds a comparison" in said.err


def test_seeds_and_values_close_together_have_folders_of_their_own(cli, bars, forked, tmp_path):
    words = ["--methods", "lambda-vae", "--delta", 1.0000001, 1.0000002, "--epochs", 1, "--seeds", 2, "--seed", 5]
    assert cli("compare", "--data", bars, *words, *SHARED, "--out", tmp_path / "out").code == 0
    rows = json.loads((tmp_path / "out" / "table.json").read_text())
    assert [(row["delta"], row["seed"]) for row in rows] == [
        (1.0000001, 5), (1.0000002, 5), (1.0000001, 6), (1.0000002, 6)
    ]  # fmt: skip
    assert len({row["path"] for row in rows}) == 4
    assert len({row["label"] for row in rows}) == 2


def test_a_diverging_run_is_marked_and_the_others_go_on(cli, bars, forked, tmp_path):
    out = tmp_path / "out"
    words = ["--methods", "beta-vae", "vae", "--beta", 3e38, "--epochs", 2]
    said = cli("compare", "--data", bars, *words, *SHARED, "--out", out)
    assert said.code == 1
    assert "1 of 2 runs failed: beta-vae-beta3e+38-seed0; the report gives the reasons" in said.err
    failed, done = json.loads((out / "table.json").read_text())
    assert (failed["status"], done["status"]) == ("failed", "done")
    assert "training diverged in epoch 1 at step 1" in failed["failure"]
    assert done["label"] == "VAE"  # which has no beta
    assert (out / "report.html").exists()


def test_a_run_that_dies_without_a_word_shows_the_end_of_its_log(cli, bars, forked, tmp_path, monkeypatch):
    monkeypatch.setattr(Forked, "__init__", _doomed(Forked.__init__))
    out = tmp_path / "out"
    words = ["--methods", "vae", "warm-up", "--epochs", 2, "--workers", 1]
    said = cli("compare", "--data", bars, *words, *SHARED, "--out", out)
    assert said.code == 1
    failed, done = json.loads((out / "table.json").read_text())
    assert failed["failure"] == "the process was killed by SIGKILL; its log ends: the last words"
    assert done["status"] == "done"
    assert failed["label"] == "VAE"
    monkeypatch.undo()


def _doomed(start):
    def doomed(self, command, stdout, **settings):
        if any(word.endswith("/vae-seed0.yaml") for word in command):
            stdout.write(b"the last words\n")
            stdout.flush()
            self.process, self.pid = SimpleNamespace(is_alive=lambda: False, exitcode=-signal.SIGKILL), 0
            return
        start(self, command, stdout, **settings)

    return doomed


def test_a_released_run_whose_parent_is_gone_trains_from_scratch(whole, cli, bars, forked, tmp_path):
    """The parent ended before anybody asked it to keep a checkpoint."""
    out = tmp_path / "out"
    words = ["compare", "--data", bars, "--methods", "lambda-vae", "--delta", 1.5, "--epochs", 6, *SHARED, "--out", out]
    assert cli(*words).code == 0
    assert cli(*words, "--release_epochs", 0, 2, "--resume").code == 0
    assert outcomes(out, RUNS[1:]) == outcomes(whole, RUNS[1:])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_every_run_and_resume_finishes(cli, bars, forked, tmp_path, number):
    words = ["--methods", "vae", "warm-up", "--epochs", 200, "--workers", 2, *SHARED]
    out = tmp_path / "out"

    def interrupt():
        wait_for(lambda: len({path.parent for path in out.glob("runs/*/checkpoints/*")}) == 2)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    said = cli("compare", "--data", bars, *words, "--out", out)
    thread.join()
    assert said.code == 130
    assert said.err == "lambda-vae: interrupted; go on with --resume\n"
    rows = json.loads((out / "table.json").read_text())
    assert [row["status"] for row in rows] == ["waiting", "waiting"]  # unfinished is not failed
    for name in ("vae-seed0", "warm-up-seed0"):
        assert "stopped by SIGTERM" in (out / "runs" / f"{name}.log").read_text()
        assert not (out / "runs" / name / "metrics.json").exists()
    resumed = cli("compare", "--data", bars, *words, "--out", out, "--resume")
    assert resumed.code == 0, resumed.err
    undisturbed = tmp_path / "undisturbed"
    config = out / "configs" / "warm-up-seed0.yaml"
    assert cli("train", "--config", config, "--out", undisturbed, "--report", "false").code == 0
    assert outcome(out / "runs" / "warm-up-seed0") == outcome(undisturbed)


@pytest.mark.slow
def test_runs_outlive_a_killed_comparison_and_keep_others_out(cli, bars, tmp_path):
    words = ["compare", "--data", bars, "--methods", "vae", "--epochs", 400, *SHARED, "--out", tmp_path / "out"]
    parent = launch(words, tmp_path / "log")
    run = tmp_path / "out" / "runs" / "vae-seed0"
    wait_for(lambda: list(run.glob("checkpoints/*")), parent)
    os.kill(parent.pid, signal.SIGKILL)
    parent.join()
    said = cli(*words, "--resume")
    assert said.code == 2
    assert said.err == (
        f"lambda-vae: another process is training in {run}; wait until it ends, or choose another --out\n"
    )
    wait_for(lambda: (run / "metrics.json").exists())
    wait_for(lambda: cli(*words, "--resume").code == 0)
    assert json.loads((tmp_path / "out" / "table.json").read_text())[0]["status"] == "done"


def test_the_config_of_a_comparison_is_whole(whole):
    values = yaml.safe_load((whole / "config.yaml").read_text())
    assert values["methods"] == ["vae", "lambda-vae"]
    assert values["release_epochs"] == [0, 2]
    assert values["train"]["epochs"] == 6
    assert values["network"]["mlp"]["hidden"] == [16]
    assert "workers" not in values
    assert np.isclose(values["delta"][0], 1.5)
