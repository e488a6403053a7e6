"""Folders as the last release wrote them, flat configs with the settings of all methods, are gone on with."""

# ruff: noqa: F811 - fixtures come by import

import json

import pytest
import yaml
from cli_process import TINY, bars, cli, own_cache, tree  # noqa: F401
from test_compare import forked  # noqa: F401

from lambda_vae.methods import METHODS
from lambda_vae.runs.config import to_yaml
from lambda_vae.runs.flat import flat, flattened, read_config

WORDS = ("--methods", "vae", "lambda-vae", "--delta", 1.5, "--release_epochs", 0, 1, "--epochs", 3, "--trackers", "[]")

SETTINGS = {name: value for method in METHODS.values() for name, value in method.values.items()}

#: What the last release wrote where nobody asked for anything else.
BEFORE = {"samples": None, "matmul": "highest", "compile": False}


def as_before(folder):
    """Write the configs of a comparison as the last release did."""
    for path in [*folder.glob("configs/*.yaml"), *folder.glob("runs/*/config.yaml")]:
        path.write_text(to_yaml({**SETTINGS, **flat(read_config(path)), **BEFORE}))
    whole = flattened(yaml.safe_load((folder / "config.yaml").read_text()))
    (folder / "config.yaml").write_text(to_yaml({**SETTINGS, **whole, **BEFORE}))


def test_a_comparison_of_the_last_release_is_resumed_and_read(cli, bars, forked, tmp_path):
    out = tmp_path / "out"
    words = ("compare", "--data", bars, *WORDS, *TINY, "--workers", 2, "--out", out)
    assert cli(*words).code == 0
    table, models = json.loads((out / "table.json").read_text()), {k: v for k, v in tree(out).items() if "model" in k}
    as_before(out)
    said = cli(*words, "--resume")
    assert said.code == 0, said.err
    assert json.loads((out / "table.json").read_text()) == table
    assert {k: v for k, v in tree(out).items() if "model" in k} == models
    as_before(out)
    run = out / "runs" / "lambda-vae-delta1.5-release1-seed0"
    assert cli("diagnose", run).code == 0
    alone = ("train", "--config", out / "configs" / f"{run.name}.yaml", "--out", run, "--report", "false")
    assert cli(*alone, "--resume").code == 0
    assert "its delta is 1.5, here it is 1.4" in cli(*alone, "--resume", "--delta", 1.4).err
    assert "its beta is 1.0, here it is 2.0" in cli(*words, "--resume", "--beta", 2).err
    assert cli("compare", "--config", out / "config.yaml", "--workers", 2, "--out", tmp_path / "again").code == 0
    again = {row["run"]: row["nll_bound"] for row in json.loads((tmp_path / "again" / "table.json").read_text())}
    # By the route of products that the old configs name.
    assert again == pytest.approx({row["run"]: row["nll_bound"] for row in table}, rel=1e-4)
