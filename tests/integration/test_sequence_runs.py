"""A run of sequences from a file of text to its report, and every command that reads it."""

# ruff: noqa: F811 - fixtures come by import

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_process import cli, own_cache  # noqa: F401

from lambda_vae.errors import InputError
from lambda_vae.methods import method_named
from lambda_vae.reports.page import write_report
from lambda_vae.runs import GRU, RunConfig, load_run, train
from lambda_vae.runs.flat import read_config
from lambda_vae.training import TrainOptions


def text(path: Path, seed: int = 0, lines: int = 160) -> Path:
    chance = np.random.default_rng(seed)
    words = ["".join(chance.choice([*"abcd"], chance.integers(1, 9))) for _ in range(lines)]
    path.write_text("".join(f"{word}\n" for word in words))
    return path


@pytest.fixture(scope="module")
def run(own_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequences")
    config = RunConfig(
        str(text(folder / "words.txt")), "vae", GRU(4, 8, word_dropout=0.2), latent_dim=2, iw_samples=4,
        train=TrainOptions(epochs=2, batch_size=20), trackers=(),
    )  # fmt: skip
    train(config, folder / "run")
    return folder


def test_likelihoods_are_given_by_sequence_and_by_token(run: Path) -> None:
    metrics = json.loads((run / "run" / "metrics.json").read_text())
    loaded = load_run(run / "run")
    lengths = [len(row[row != 0]) for x in loaded.measured for row in x]
    tokens = sum(lengths) / len(lengths)
    assert metrics["tokens"] == pytest.approx(tokens)
    for name in ("nll_bound", "nll_iw"):
        assert metrics[f"{name}_token_bits"] == pytest.approx(metrics[name] / tokens / math.log(2))
        assert metrics[f"{name}_perplexity"] == pytest.approx(math.exp(metrics[name] / tokens))
    assert 2.0 < metrics["nll_iw_perplexity"] < 9.0  # four letters, the end and the unknown
    assert "nll_bound_bpd" not in metrics


def test_samples_and_reconstructions_are_text(cli: Any, run: Path, tmp_path: Path) -> None:
    assert cli("sample", run / "run", "--n", 5, "--out", tmp_path / "s.txt").code == 0
    assert len((tmp_path / "s.txt").read_text().splitlines()) == 5
    assert cli("reconstruct", run / "run", "--n", 3, "--out", tmp_path / "r.txt").code == 0
    loaded = load_run(run / "run")
    first = [loaded.dataset.vocabulary.decode(row.tolist()) for row in loaded.measured.head(3)]
    assert [line.split("\t")[0] for line in (tmp_path / "r.txt").read_text().splitlines()] == first
    refused = cli("sample", run / "run", "--out", tmp_path / "s.png")
    assert refused.code != 0
    assert "use .txt" in refused.err


def test_the_report_shows_sequences_as_text(run: Path, tmp_path: Path) -> None:
    texts = json.loads((run / "run" / "texts.json").read_text())
    loaded = load_run(run / "run")
    first = [loaded.dataset.vocabulary.decode(row.tolist()) for row in loaded.measured.head(12)]
    assert [original for original, _ in texts["reconstructions"]] == first
    assert len(texts["prior_samples"]) == 12
    assert [len(row["steps"]) for row in texts["traversals"]] == [9, 9]
    texts["prior_samples"][0] = "<b>bold</b>"
    shutil.copytree(run / "run", tmp_path / "copy")
    (tmp_path / "copy" / "texts.json").write_text(json.dumps(texts))
    page = write_report(tmp_path / "copy").read_text()
    assert all(f"<code>{original}</code>" in page for original in first)
    assert "&lt;b&gt;bold" in page
    assert "<b>bold" not in page
    for broken in ({"prior_samples": [1]}, {"reconstructions": [["a"]]}, {"traversals": [{"dimension": 0}]}):
        (tmp_path / "copy" / "texts.json").write_text(json.dumps(texts | broken))
        with pytest.raises(InputError, match=f"{next(iter(broken))!r} must hold texts"):
            write_report(tmp_path / "copy")


@pytest.mark.parametrize("command", ["diagnose", "information", "report"])
def test_what_reads_the_code_alone_reads_sequences_too(cli: Any, run: Path, command: str) -> None:
    assert cli(command, run / "run").code == 0


def test_the_likelihood_is_estimated_from_both_sides(cli: Any, run: Path, tmp_path: Path) -> None:
    numbers = {"examples": 4, "iw_samples": 30, "temperatures": 4, "chains": 2, "leapfrog": 2, "simulated": 3}
    options = [word for name, value in numbers.items() for word in (f"--{name}", value)]
    assert cli("likelihood", run / "run", *options, "--out", tmp_path / "l.json").code == 0
    readings = json.loads((tmp_path / "l.json").read_text())["readings"]
    assert all(math.isfinite(readings["simulated"][name]["value"]) for name in ("nll_ais", "nll_ais_reverse"))


@pytest.mark.parametrize(("command", "told"), [("generation", "takes images and vectors"), ("export", "share its run")])
def test_what_takes_numbers_alone_says_so(cli: Any, run: Path, tmp_path: Path, command: str, told: str) -> None:
    refused = cli(command, run / "run", "--out", tmp_path / "out")
    assert refused.code != 0
    assert told in refused.err
    assert refused.err.strip().count("\n") == 0


def test_the_language_model_is_a_row_whose_bound_is_its_likelihood(run: Path) -> None:
    config = replace(read_config(run / "run" / "config.yaml"), method=method_named("no-z"))
    row = train(config, run / "language-model")
    assert row["rate"] == row["active_units"] == 0.0
    assert row["nll_bound"] == pytest.approx(row["nll_iw"], abs=1e-6)
    assert row["nll_bound_perplexity"] == pytest.approx(row["nll_iw_perplexity"])
