"""The command `likelihood` from a trained run to table and file, interrupted, resumed, and told nonsense."""

# ruff: noqa: F811 - fixtures come by import

import json
import shutil
from pathlib import Path

import pytest
from cli_process import TINY, bars, cli, own_cache, tree, write_bars  # noqa: F401

from lambda_vae.errors import InputError
from lambda_vae.measures import likelihood as command
from lambda_vae.measures.likelihood import LikelihoodChoice, measure_likelihood
from lambda_vae.reports.side_by_side import write_measurements

QUICK = ["--examples", 6, "--iw_samples", 60, "--temperatures", 4, "--chains", 3, "--leapfrog", 2, "--simulated", 3]
CHOICE = LikelihoodChoice(6, 60, temperatures=4, chains=3, leapfrog=2, simulated=3)


@pytest.fixture(scope="module")
def run(own_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lambda_vae.cli import main

    folder = tmp_path_factory.mktemp("likelihood")
    data = write_bars(folder / "bars.npz")
    words = ["train", "--data", str(data), "--method", "lambda-vae", "--epochs", "2", "--refresh_every", "1"]
    main([*words, "--trackers", "[]", "--report", "false", *TINY, "--out", str(folder / "run")])
    return folder / "run"


def test_table_and_file_hold_every_estimate(cli, run, tmp_path):
    out = tmp_path / "found.json"
    said = cli("likelihood", run, *QUICK, "--out", out)
    assert said.code == 0, said.err
    for name in ("surrogate_nll", "nll_bound", "nll_iw, q_sampled", "nll_iw, defensive", "nll_ais_reverse", "gap"):
        assert name in said.out
    assert "no bound" in said.out
    record = json.loads(out.read_text())
    readings, columns = record["readings"], record["columns"]["test"]
    assert record["complete"] is True
    assert readings["nll_bound"]["value"] >= readings["surrogate_nll"]["value"]
    assert set(readings["nll_iw"]) == {"q", "q_sampled", "wide", "defensive"}
    assert all(len(column) == 6 for column in columns.values())
    assert readings["nll_ais"]["value"] == pytest.approx(sum(columns["up.nll"]) / 6)
    gap = readings["simulated"]
    assert gap["gap"]["value"] == pytest.approx(gap["nll_ais"]["value"] - gap["nll_ais_reverse"]["value"])
    assert f"{readings['nll_ais']['value']:.2f}" in said.out


def test_an_interrupted_call_goes_on_where_it_was(run, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "ROWS_PER_PASS", 6)  # two examples a block
    whole = measure_likelihood(run, CHOICE, tmp_path / "whole.json")
    once, original = [], command.anneal_up

    def failing(*arguments):
        once.append(1)
        if len(once) == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(command, "anneal_up", failing)
    with pytest.raises(KeyboardInterrupt):
        measure_likelihood(run, CHOICE, tmp_path / "parts.json")
    there = json.loads((tmp_path / "parts.json").read_text())
    assert there["complete"] is False
    assert len(there["columns"]["test"]["up.nll"]) == 4
    parts = measure_likelihood(run, CHOICE, tmp_path / "parts.json", resume=True)
    taken = [record["provenance"].pop("seconds") for record in (parts, whole)]
    assert all(seconds > 0.0 for seconds in taken)
    assert parts == whole
    files = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("parts", "whole")]
    assert files[0]["columns"] == files[1]["columns"]
    assert files[0]["complete"] is files[1]["complete"] is True
    assert len(once) == 3 + 1 + 2  # the third block again, and two of simulated data


def test_without_temperatures_there_is_importance_alone(run, tmp_path):
    record = measure_likelihood(run, LikelihoodChoice(4, 30, ("wide",), temperatures=0), tmp_path / "x.json")
    assert set(record["readings"]) == {"surrogate_nll", "nll_bound", "nll_iw"}
    assert set(record["readings"]["nll_iw"]) == {"wide"}


def test_several_runs_stand_on_one_results_page(cli, run, tmp_path):
    twin = tmp_path / "twin"
    shutil.copytree(run, twin)
    page = tmp_path / "likelihoods.md"
    said = cli("likelihood", run, twin, *QUICK, "--resume", "--results", page)
    assert said.code == 0, said.err
    text, record = page.read_text(), json.loads((twin / "likelihood.json").read_text())
    assert f"{record['readings']['nll_ais']['value']:.2f} ± " in text
    assert record["run"].startswith("λ-VAE δ=1.01")
    assert text.count(f"| {record['run']} |") == 2 + 2 * 4  # once a run, once a run and proposal
    for part in ("between annealing and the bound", "Not a bound", "- commit: ", "- time: "):
        assert part in text
    assert [kept["readings"] for kept in json.loads(page.with_suffix(".json").read_text())] == [record["readings"]] * 2
    assert cli("likelihood", run, twin, *QUICK, "--resume", "--out", tmp_path / "one.json").code == 2
    assert cli("likelihood", run, *QUICK, "--resume", "--results", tmp_path / "page.txt").code == 2
    record["settings"]["examples"] = 5
    with pytest.raises(InputError, match=r"measured with examples 5, .* with 6"):
        write_measurements([json.loads((run / "likelihood.json").read_text()), record], "", page)


def test_what_is_there_is_never_overwritten(cli, run, tmp_path):
    out = tmp_path / "found.json"
    assert cli("likelihood", run, *QUICK, "--out", out).code == 0
    before = tree(tmp_path)
    again = cli("likelihood", run, *QUICK, "--out", out)
    other = cli("likelihood", run, *QUICK, "--seed", 1, "--out", out, "--resume")
    (tmp_path / "else.json").write_text("[]")
    alien = cli("likelihood", run, *QUICK, "--out", tmp_path / "else.json", "--resume")
    (tmp_path / "else.json").unlink()
    assert [said.code for said in (again, other, alien)] == [2, 2, 2]
    assert "is there already; add --resume" in again.err
    assert "its seed is 0, here it is 1" in other.err
    assert "holds no likelihoods" in alien.err
    assert tree(tmp_path) == before
    assert cli("likelihood", run, *QUICK, "--out", out, "--resume").code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--examples", 0], "examples is 0"),
        (["--iw_samples", 0], "iw_samples is 0"),
        (["--temperatures", -1], "temperatures is -1"),
        (["--chains", 0], "chains is 0"),
        (["--leapfrog", 0], "leapfrog is 0"),
        (["--simulated", -1], "simulated is -1"),
        (["--proposals", "q", "cauchy"], "name at least one of q, q_sampled, wide, defensive"),
        (["--widening", 0], "widening factor is 0"),
        (["--seed", -1], "seed is -1"),
        (["--matmul", "low"], "unknown matmul route 'low'"),
        (["--out", "x.csv"], "ends in '.csv'; use .json"),
    ],
    ids=lambda part: str(part[0]) if isinstance(part, list) else "",
)
def test_nonsense_gets_one_sentence(cli, run, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    said = cli("likelihood", run, *QUICK, "--out", "x.json", *words)
    assert said.code == 2
    assert says in said.err
    assert said.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
