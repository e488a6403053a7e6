"""Every command that reads a finished run back reads one whose method is composed of two."""

# ruff: noqa: F811 - fixtures come by import

import json
from pathlib import Path

import pytest
from cli_process import TINY, cli, own_cache  # noqa: F401

#: The lagging one with few batches of the encoder's own, which no reading of a run depends on.
COMPOSED = ("warm-up+lambda-vae", "beta-vae+lambda-vae", "free-bits+lagging:aggressive_steps=2")


@pytest.fixture(scope="module", params=COMPOSED)
def run(request: pytest.FixtureRequest, own_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lambda_vae.cli import main

    folder = tmp_path_factory.mktemp("composed") / "run"
    words = ["train", "--data", "digits", "--method", request.param, "--epochs", "1", "--report", "false"]
    main([*words, "--trackers", "[]", *TINY, "--out", str(folder)])
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ("likelihood", "--examples", 4, "--iw_samples", 20, "--temperatures", 3, "--chains", 2, "--leapfrog", 1,
         "--simulated", 2),
        ("information", "--examples", 50),
        ("generation", "--samplers", "prior"),
        ("reconstruct",),
        ("diagnose",),
    ],
    ids=lambda words: str(words[0]),
)  # fmt: skip
def test_a_composed_run_is_read_back(cli, run, words):
    command, *options = words
    said = cli(command, run, *options)
    assert said.code == 0, said.err
    assert not said.err


def test_its_title_names_both_parts(cli, run, tmp_path):
    said = cli("information", run, "--examples", 50, "--out", tmp_path / "found.json")
    assert said.code == 0, said.err
    assert " + " in json.dumps(json.loads((tmp_path / "found.json").read_text()), ensure_ascii=False)
