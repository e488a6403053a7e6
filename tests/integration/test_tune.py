"""`tune` end to end on small data."""

# ruff: noqa: F811 - fixtures come by import

import json

import pytest
import yaml
from cli_process import TINY, bars, cli, own_cache  # noqa: F401


def test_a_search_leaves_a_config_that_train_takes(cli, bars, tmp_path):
    out = tmp_path / "tuned"
    words = ("tune", "--data", bars, *TINY, "--epochs", 2, "--objective", "bound", "--budget", 3, "--release", "false")
    said = cli(*words, "--workers", 1, "--final", "--out", out)
    assert said.code == 0, said.err
    rows = json.loads((out / "table.json").read_text())
    assert len(rows) == 3
    assert {row["measured_on"] for row in rows} == {"validation"}
    best = min(rows, key=lambda row: row["nll_bound"])
    tuned = yaml.safe_load((out / "tuned.yaml").read_text())
    method = tuned["method"]["lambda-vae"]
    assert (method["delta"], method["release_epochs"], tuned["validation"]) == (best["delta"], 0, 0)
    final = json.loads((out / "final" / "metrics.json").read_text())
    assert (final["delta"], final["measured_on"]) == (best["delta"], "test")
    said = cli("train", "--config", out / "tuned.yaml", "--out", tmp_path / "again")
    assert said.code == 0, said.err
    assert json.loads((tmp_path / "again" / "metrics.json").read_text())["nll_bound"] == final["nll_bound"]
    said = cli(*words, "--out", out)
    assert said.code == 2
    assert "add --resume to go on" in said.err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--method", "vae"), "vae has no delta to tune; use lambda-vae, alone or composed"),
        (("--budget", 1, "--seeds", 2), "budget is 1 and seeds is 2"),
        (("--objective", "best"), "unknown objective 'best'"),
        (("--aim", "capacity"), "--objective capacity needs --capacity"),
        (("--aim", "capacity"), "--aim is called --objective now"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(cli, bars, tmp_path, words, what):
    said = cli("tune", "--data", bars, *words, "--out", tmp_path / "out")
    assert said.code == 2
    assert what in said.err
    assert not (tmp_path / "out").exists()
