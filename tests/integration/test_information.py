"""`information` end to end on small data."""

# ruff: noqa: F811 - fixtures come by import

import json
import math
import shutil

import pytest
from cli_process import TINY, bars, cli, own_cache  # noqa: F401

from lambda_vae.reports.informations import informations_page


@pytest.fixture
def trained(cli, bars, tmp_path):
    def train(*words):
        said = cli("train", "--data", bars, *TINY, "--epochs", 3, "--out", tmp_path / "run", *words)
        assert said.code == 0, said.err
        return tmp_path / "run"

    return train


def test_the_split_of_a_run_in_the_terminal_and_as_json(cli, trained, tmp_path):
    run, out = trained("--method", "lambda-vae", "--delta", "1.1"), tmp_path / "information.json"
    said = cli("information", run, "--draws", 2, "--seed", 3, "--out", out)
    assert said.code == 0, said.err
    for words in ("total correlation", "ln N is", "Eq. 8", "H[Z_λ]", "Dimension by dimension"):
        assert words in said.out
    found = json.loads(out.read_text())
    split, metrics = found["split"], json.loads((run / "metrics.json").read_text())
    assert (found["draws"], found["seed"]) == (2, 3)
    assert split["rate_closed"] == pytest.approx(metrics["rate"], rel=1e-5)
    parts = (split["information"]["lower"], split["total_correlation"], split["dimension_wise_kl"])
    assert split["rate"]["value"] == pytest.approx(sum(one["value"] for one in parts), abs=1e-9)
    assert split["information"]["lower"]["cap"] == pytest.approx(math.log(found["examples"]))
    assert found["gain"]["predicted"]["value"] > 0
    again = tmp_path / "again.json"
    assert cli("information", run, "--draws", 2, "--seed", 3, "--out", again).code == 0
    assert again.read_text() == out.read_text()


def test_several_runs_stand_on_one_results_page(cli, trained, tmp_path):
    run, page = trained("--method", "lambda-vae", "--delta", "1.1"), tmp_path / "information.md"
    twin = tmp_path / "twin"
    shutil.copytree(run, twin)
    said = cli("information", run, twin, "--results", page)
    assert said.code == 0, said.err
    text, records = page.read_text(), json.loads(page.with_suffix(".json").read_text())
    rate = records[0]["split"]["rate"]
    assert text.count(f"{rate['value']:.3f} ± {rate['stderr']:.3f}") == 2
    for words in ("Eq. 8 holds", "Eq. 12", "- commit: ", "- time: "):
        assert words in text
    assert cli("information", run, twin, "--out", tmp_path / "one.json").code == 2
    refused = cli("information", tmp_path / "no run", "--results", tmp_path / "page.txt")
    assert refused.code == 2
    assert "results are written as .md" in refused.err  # said before any run is looked at


def test_a_page_says_where_an_identity_fails_and_where_nothing_is_known():
    known = {"value": 2.0, "stderr": 0.1, "reason": "", "saturated": False, "cap": 9.0}
    parts = dict.fromkeys(("rate", "total_correlation", "dimension_wise_kl", "mismatch", "information_at_most"), known)
    record = {
        "run": "a|b", "split": {**parts, "information": {"lower": known}}, "identity": {"difference": known},
        "gain": None, "settings": {"data": "x", "examples": 10, "draws": 1, "seed": 0}, "provenance": {},
    }  # fmt: skip
    assert r"a\|b: Eq. 8 does NOT hold: its sides are +2.000 ± 0.100 nats apart" in informations_page([record])
    record["split"]["information"] = {"lower": {**known, "value": None, "reason": "1 example"}}
    assert "nothing is known: 1 example" in informations_page([record])


def test_a_posterior_that_is_no_gaussian_gives_no_number(cli, trained, tmp_path):
    run, out = trained("--method", "iaf"), tmp_path / "information.json"
    said = cli("information", run, "--out", out)
    assert said.code == 0, said.err
    split = json.loads(out.read_text())["split"]
    assert split["information"]["lower"]["value"] is None
    assert "these estimates need a diagonal Gaussian" in split["rate"]["reason"]


def test_what_makes_no_sense_is_refused(cli, trained):
    run = trained()
    for words, what in (
        (("--examples", 1), "examples is 1; it must be 2 to"),
        (("--examples", 10**6), "examples is 1000000; it must be 2 to"),
        (("--draws", 0), "draws is 0; ask for at least 1"),
        (("--seed", -1), "seed is -1"),
    ):
        said = cli("information", run, *words)
        assert said.code == 2
        assert what in said.err
