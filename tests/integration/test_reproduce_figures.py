"""`reproduce figure1` to `figure5` end to end at smoke scale, and what is refused before anything is written."""

# ruff: noqa: F811 - fixtures come by import

import json

import pytest
from cli_process import cli, own_cache  # noqa: F401

from lambda_vae.reports.drawings import DRAWINGS

SMOKE = ("--scale", "smoke")
DATA = {"figure4": ("--data", "digits"), "figure5": ("--data", "digits")}


def pages(folder, name):
    return {ending: (folder / f"{name}{ending}").read_bytes() for ending in (".md", ".svg", ".pdf", ".json")}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_figure_is_made_resumed_drawn_anew_and_published(cli, tmp_path, name):
    out, page = tmp_path / "out", tmp_path / "results" / f"{name}.md"
    said = cli("reproduce", name, *SMOKE, *DATA.get(name, ()), "--out", out)
    assert said.code == 0, said.err
    first = pages(out, name)
    assert b"**" in first[".md"]
    said = cli("reproduce", name, *SMOKE, *DATA.get(name, ()), "--out", out)
    assert (said.code, "add --resume" in said.err) == (2, True)
    said = cli("reproduce", name, *SMOKE, *DATA.get(name, ()), "--out", out, "--resume")
    assert said.code == 0, said.err
    again = json.loads((out / f"{name}.json").read_text())
    assert again["numbers"] == json.loads(first[".json"])["numbers"]
    said = cli("report", out, "--results", page)
    assert said.code == 0, said.err
    assert page.with_suffix(".svg").read_bytes() == (out / f"{name}.svg").read_bytes()


def test_snapshots_are_measured_once_and_their_checkpoints_removed(cli, tmp_path):
    out = tmp_path / "out"
    assert cli("reproduce", "figure3", *SMOKE, "--out", out).code == 0
    runs = list(out.glob("gaussian-mixture-*/runs/*/"))
    assert len(runs) == 4
    for run in runs:
        readings = json.loads((run / "snapshots.json").read_text())["readings"]
        assert [reading["epoch"] for reading in readings] == [1, 2, 3, 4]
        assert all(-0.5 < reading["information"] <= reading["cap"] for reading in readings)
        assert len(list((run / "checkpoints").glob("*.safetensors"))) == 2
    (runs[0] / "snapshots.json").unlink()
    said = cli("reproduce", "figure3", *SMOKE, "--out", out, "--resume")
    assert said.code == 2
    assert "kept no checkpoint of epoch 1; remove the folder" in said.err


def test_a_figure_is_drawn_from_the_runs_of_a_comparison(cli, tmp_path):
    base = tmp_path / "base"
    assert cli("reproduce", "figure5", *SMOKE, *DATA["figure5"], "--out", base).code == 0
    for name in ("figure4", "figure5"):
        out = tmp_path / name
        said = cli("reproduce", name, "--runs", base / "digits", "--out", out)
        assert said.code == 0, said.err
        record = json.loads((out / f"{name}.json").read_text())
        assert record["notes"][-1] == "These runs have 4 epochs; the paper's have 200."
        assert "λ-VAE δ=1.01" in [run["label"] for run in record["numbers"]["runs"]]
        assert not (out / "runs").exists()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("figur3",), "unknown table or figure 'figur3' (did you mean 'figure3'?)"),
        (("figure9",), "unknown table or figure 'figure9'"),
        (("figure1", "--data", "mnist"), "figure1 is theory and takes no data; leave out --data mnist"),
        (("figure3", "--data", "digits"), "is made on gaussian-mixture-2 and gaussian-mixture-4; leave out --data"),
        (("figure5", "--data", "gaussian-mixture-2"), "shows pictures and gaussian-mixture-2 holds vectors"),
        (("figure4", "--data", "mnst"), "unknown data set 'mnst'"),
        (("figure4", "--scale", "big"), "unknown scale 'big'"),
        (("figure4", "--only", "vae"), "figure4 is a figure; --only is for tables"),
        (("figure3", "--runs", "x"), "figure3 is not drawn from the runs of others"),
        (("table1", "--runs", "x"), "table1 is no figure; leave out --runs"),
        (("figure4", "--runs", "nowhere"), "nowhere"),
    ],
)
def test_bad_words_are_refused_before_anything_is_written(cli, tmp_path, words, what):
    said = cli("reproduce", *words, "--out", tmp_path / "out")
    assert said.code == 2
    assert what in said.err
    assert not (tmp_path / "out").exists()


def test_other_folders_are_left_alone(cli, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    said = cli("reproduce", "figure1", "--out", tmp_path, "--resume")
    assert "is not empty and holds no figure" in said.err
    out = tmp_path / "out"
    assert cli("reproduce", "figure1", "--out", out).code == 0
    said = cli("reproduce", "figure2", "--out", out, "--resume")
    assert said.code == 2
    assert "its figure is 'figure1', here it is 'figure2'" in said.err
