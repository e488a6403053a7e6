"""Runs measured on a validation split: what they train on, what they are measured on, and what is said of it."""

# ruff: noqa: F811 - fixtures come by import

import json

import numpy as np
import pytest
import torch
from cli_process import TINY, bars, cli, outcome, own_cache  # noqa: F401
from flat_runs import changed, run_of

from lambda_vae.data import load
from lambda_vae.runs import Run, RunConfig
from lambda_vae.runs._train import make_trainer

WORDS = ["--method", "lambda-vae", "--delta", 1.5, "--epochs", 2, "--trackers", "[]", *TINY]


@pytest.fixture
def config(own_cache, bars) -> RunConfig:
    return run_of(
        data=str(bars), validation=12, hidden=(8,), latent_dim=2, batch_size=20, epochs=1, trackers=(), iw_samples=2
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_training_sees_every_remaining_row_once_and_no_other(config, seed):
    config = changed(config, seed=seed, batch_size=16)
    run = Run.resolve(config)
    seen = []
    trainer = make_trainer(run)
    view = trainer.draws.view
    trainer.draws.view = lambda x, rows, generator: (seen.extend(rows.tolist()), view(x, rows, generator))[1]
    trainer.fit()
    assert len(seen) == len(set(seen)) == 48  # three whole batches of the 48 that remain
    assert set(seen) == set(run.dataset.train.index().tolist())
    assert seen != sorted(seen)
    assert not set(seen) & set(run.dataset.test.index().tolist())


def test_held_out_rows_do_not_depend_on_the_seed(config):
    first, second = (Run.resolve(changed(config, seed=seed)).dataset.test.index() for seed in (0, 7))
    assert torch.equal(first, second)


@pytest.mark.parametrize("binarisation", ["stochastic", "fixed", "none"])
def test_measured_rows_and_labels_belong_together(config, binarisation):
    config = changed(config, binarisation=binarisation, likelihood="bernoulli")
    run = Run.resolve(config)
    view = run.measured
    x = torch.cat(list(view)).reshape(-1, 6, 5)
    labels = run.dataset.test.labels()[view.index]
    columns = x.mean(1)  # bar k stands in column k + 1
    assert torch.equal(columns.argmax(1) - 1, labels)
    assert torch.equal(torch.cat(list(view)), torch.cat(list(Run.resolve(config).measured)))
    probe = run.probe()
    assert set(probe.index.tolist()) == set(run.dataset.train.index().tolist())


def test_under_fixed_binarisation_held_out_images_are_those_of_training(config):
    config = changed(config, binarisation="fixed")
    run = Run.resolve(config)
    trainer = make_trainer(run)
    rows = run.dataset.test.index()
    shown = trainer.draws.view(run.dataset.test.tensor()[rows], rows, trainer.draws.generator)
    assert torch.equal(shown, torch.cat(list(Run.resolve(config).measured)))


def test_a_run_says_what_it_was_measured_on(cli, bars, tmp_path):
    said = cli("train", "--data", bars, *WORDS, "--validation", 12, "--out", tmp_path / "run")
    assert said.code == 0, said.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    data = json.loads((tmp_path / "run" / "provenance.json").read_text())["data"]
    assert metrics["measured_on"] == "validation"
    assert (data["train"], data["validation"], data["measured_on"]) == (48, 12, "validation")
    assert "test" not in data
    page = (tmp_path / "run" / "report.html").read_text()
    assert "validation split" in page
    assert "per test example" not in page
    again = json.loads(_diagnosed(cli, tmp_path))
    assert again["nll_bound"] == pytest.approx(metrics["nll_bound"], rel=1e-6)
    other = json.loads(_diagnosed(cli, tmp_path, "--data", bars))  # named anew, the data come with their test set
    assert other["nll_bound"] != pytest.approx(metrics["nll_bound"], rel=1e-4)


def _diagnosed(cli, folder, *words):
    said = cli("diagnose", folder / "run", *words, "--json", folder / "measures.json")
    assert said.code == 0, said.err
    return (folder / "measures.json").read_text()


def test_without_a_split_the_test_set_is_named(cli, bars, tmp_path):
    assert cli("train", "--data", bars, *WORDS, "--report", "false", "--out", tmp_path / "run").code == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    data = json.loads((tmp_path / "run" / "provenance.json").read_text())["data"]
    assert metrics["measured_on"] == data["measured_on"] == "test"
    assert (data["train"], data["test"]) == (60, 20)


def test_the_test_set_has_no_say_in_a_validation_run(cli, bars, tmp_path):
    """Two files that differ in their test part alone give the same run."""
    arrays = dict(np.load(bars))
    np.savez(tmp_path / "other.npz", **{**arrays, "test": 255 - arrays["test"]})
    results = []
    for data, name in ((bars, "a"), (tmp_path / "other.npz", "b")):
        words = [*WORDS, "--validation", 12, "--report", "false", "--out", tmp_path / name]
        assert cli("train", "--data", data, *words).code == 0
        results.append(outcome(tmp_path / name))
    assert results[0] == results[1]
    assert not np.array_equal(load(bars).test.x, load(tmp_path / "other.npz").test.x)


def test_a_validation_run_is_resumed_as_one(cli, bars, tmp_path):
    words = ["train", "--data", bars, *WORDS, "--validation", 12, "--report", "false", "--out", tmp_path / "run"]
    assert cli(*words).code == 0
    words[words.index(12)] = 10
    said = cli(*words, "--resume")
    assert said.code == 2
    assert "validation is 12" in said.err


@pytest.mark.parametrize(
    ("count", "what"), [(1, "validation is 1; it must be 0"), (50, "fewer than a batch of 20; use at most 40")]
)
def test_a_bad_split_is_refused_before_anything_is_written(cli, bars, tmp_path, count, what):
    said = cli("train", "--data", bars, *WORDS, "--validation", count, "--out", tmp_path / "run")
    assert said.code == 2
    assert what in said.err
    assert list(tmp_path.iterdir()) == []
