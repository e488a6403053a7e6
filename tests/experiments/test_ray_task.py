"""One run on a machine of a cluster, carried out in this process: no Ray needed."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cli_process import outcome, own_cache, write_bars  # noqa: F401 - a fixture among them
from flat_runs import changed, run_of

from lambda_vae.comparisons.ray_task import TaskSpec, pack, run_task, unpack
from lambda_vae.runs import Run, train
from lambda_vae.training.checkpoints import path_of

CONFIG = run_of(
    method="vae",
    epochs=2,
    hidden=(16,),
    latent_dim=3,
    batch_size=100,
    iw_samples=4,
    evaluate_every=0,
    checkpoint_every=1,
    trackers=(),
)


@pytest.fixture(autouse=True)
def _own_process(monkeypatch, own_cache):  # noqa: F811
    """A task changes its process: it has it to itself, and this one is put back."""
    monkeypatch.chdir(Path.cwd())
    monkeypatch.setattr(sys, "argv", ["pytest"])
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def order_of(runs, config=CONFIG, **changes):
    runs.mkdir(parents=True, exist_ok=True)
    (runs / ".mark").write_text("shared")
    order = TaskSpec(
        name="run",
        words=("train", "--out", "runs/run"),
        config=config,
        runs=runs,
        mark=(".mark", "shared"),
        home=Path.cwd(),
        data=Run.resolve(CONFIG).dataset.sha256,
        version="0.1.0",
        fork=None,
        keep_checkpoints=(),
        settings={},
    )
    return replace(order, version=changes.pop("version", _version()), **changes)


def _version():
    from importlib.metadata import version

    return version("lambda-vae")


AWAY = {"mark": (".mark", "of another folder of this name")}


def nothing():
    raise AssertionError("the luggage was fetched")


def test_a_machine_that_sees_the_folder_works_in_it_and_brings_nothing_home(tmp_path):
    train(CONFIG, tmp_path / "reference")
    said = []
    done = run_task(order_of(tmp_path / "runs"), nothing, said.append)
    assert (done.code, done.words, done.files) == (0, "", {})
    assert said == [("run", "")]
    assert outcome(tmp_path / "runs" / "run") == outcome(tmp_path / "reference")


def test_a_machine_that_does_not_brings_home_all_but_the_checkpoints_nobody_asked_for(tmp_path):
    train(CONFIG, tmp_path / "reference")
    order = order_of(tmp_path / "runs", keep_checkpoints=(1,), **AWAY)
    done = run_task(order, dict, lambda _: None)
    assert not (tmp_path / "runs" / "run").exists()
    assert sorted(done.files) == [
        "run/checkpoints/epoch-00001-step-0000000.safetensors",
        *(f"run/{name}" for name in ("config.yaml", "history.json", "images.npz", "metrics.json")),
        *(f"run/{name}" for name in ("model.safetensors", "progress.json", "provenance.json")),
    ]
    unpack(done.files, tmp_path / "home")
    assert outcome(tmp_path / "home" / "run") == outcome(tmp_path / "reference")
    assert b'"lambda-vae train --out runs/run"' in done.files["run/provenance.json"]


def test_a_fork_goes_along_with_the_config_it_is_checked_against(tmp_path):
    parent = changed(CONFIG, method="lambda-vae", delta=1.5, epochs=4)
    config = changed(parent, release_epochs=2)
    train(config, tmp_path / "reference")
    train(parent, tmp_path / "parent", keep_checkpoints=(1,))
    fork = path_of(tmp_path / "parent" / "checkpoints", 1, 0)
    luggage = pack(tmp_path, [fork, tmp_path / "parent" / "config.yaml"])
    fetched = []
    order = order_of(tmp_path / "runs", config, fork=fork.relative_to(tmp_path).as_posix(), **AWAY)
    done = run_task(order, lambda: fetched.append(1) or luggage, lambda _: None)
    assert (done.code, done.words, fetched) == (0, "", [1])
    unpack(done.files, tmp_path / "home")
    assert outcome(tmp_path / "home" / "run") == outcome(tmp_path / "reference")


def test_a_run_that_diverges_comes_home_failed(tmp_path):
    done = run_task(order_of(tmp_path / "runs", changed(CONFIG, learning_rate=1e30), **AWAY), dict, lambda _: None)
    assert done.code == 1
    assert "diverged" in done.words
    assert b'"failed"' in done.files["run/metrics.json"]


def test_refusals_name_the_machine_and_what_is_amiss_there(tmp_path):
    def refusal(**changes):
        done = run_task(order_of(tmp_path / "runs", **changes), nothing, lambda _: None)
        assert done.code == 2
        assert done.words.startswith(f"on {os.uname().nodename}: ")
        assert not (tmp_path / "runs" / "run").exists()
        return done.words

    assert "digits is other data (sha256 " in refusal(data="0" * 64)
    assert f"lambda-vae is {_version()}, where the run comes from it is 99" in refusal(version="99")
    assert "mine.npz does not exist" in refusal(config=changed(CONFIG, data="mine.npz"))


def test_data_is_found_from_the_folder_where_the_command_was_given(tmp_path):
    bars = write_bars(tmp_path / "mine.npz")
    config = changed(CONFIG, data="mine.npz", batch_size=20)
    order = order_of(
        tmp_path / "runs", config, home=tmp_path, data=Run.resolve(changed(config, data=str(bars))).dataset.sha256
    )
    assert run_task(order, nothing, lambda _: None).code == 0


def test_a_machine_s_own_settings_win(tmp_path, monkeypatch):
    monkeypatch.setenv("LAMBDA_VAE_DATA", "here")
    given = {"LAMBDA_VAE_DATA": "there", "LAMBDA_VAE_CACHE": "there"}
    assert run_task(order_of(tmp_path / "runs", settings=given), nothing, lambda _: None).code == 0
    assert os.environ["LAMBDA_VAE_DATA"] == "here"


def test_progress_is_told_while_a_run_is_away(tmp_path, monkeypatch):
    monkeypatch.setattr("lambda_vae.comparisons.ray_task._NOTE_SECONDS", 0.005)
    said = []
    run_task(order_of(tmp_path / "runs", changed(CONFIG, epochs=20), **AWAY), dict, said.append)
    assert said[0] == ("run", "")
    assert any('"epochs": 20' in text for _, text in said)
