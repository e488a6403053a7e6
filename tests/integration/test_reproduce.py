"""`reproduce table1` end to end on the digits, at smoke scale: in one process, and in one a run."""

# ruff: noqa: F811 - fixtures come by import

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from cli_process import cli, colours, outcome, own_cache  # noqa: F401
from test_compare import forked  # noqa: F401

from lambda_vae.paper import _reproduce as reproduce
from lambda_vae.paper.recipe import Recipe
from lambda_vae.paper.tables import SCALES

ROWS = ("vae-200", "vae", "beta-2-200", "iwae-5")
WORDS = ("reproduce", "table1", "--data", "digits", "--scale", "smoke")


def rows_of(folder: Path) -> list[dict]:
    return json.loads((folder / "table.json").read_text())


def test_a_table_is_run_published_taken_up_elsewhere_and_grows(cli, tmp_path):
    first, again, page = tmp_path / "first", tmp_path / "again", tmp_path / "table1.md"
    said = cli(*WORDS, "--only", *ROWS, "--out", first)
    assert said.code == 0, said.err
    rows = rows_of(first)
    assert {row["recipe"] for row in rows} == set(ROWS)
    assert {row["status"] for row in rows} == {"done"}
    assert {row["block"] for row in rows} == {"4 epochs", "2 epochs"}
    assert {row["step_cost"] for row in rows} == {None}, "a run of a second was timed"
    assert (first / "report.html").is_file()

    said = cli("report", first, "--results", page)
    assert said.code == 0, said.err
    assert "Smoke scale" in page.read_text()
    assert "surrogate" in page.read_text()
    assert "\\begin{tabular}" in page.with_suffix(".tex").read_text()
    assert page.with_suffix(".csv").read_text().startswith("block,")

    said = cli(*WORDS, "--only", *ROWS, "free-bits", "--out", again, "--known", page.with_suffix(".json"))
    assert said.code == 0, said.err
    seconds = {row["run"]: row["seconds"] for row in rows_of(again)}
    assert {row["run"]: row["seconds"] for row in rows}.items() <= seconds.items(), "a known run was run anew"
    assert len(seconds) == len(rows) + 1
    provenance = json.loads(next((again / "runs").glob("vae-*/provenance.json")).read_text())
    assert provenance["known"] is True

    said = cli(*WORDS, "--only", *ROWS, "free-bits", "wae", "--out", again, "--resume")
    assert said.code == 0, said.err
    assert seconds.items() <= {row["run"]: row["seconds"] for row in rows_of(again)}.items()
    said = cli(*WORDS, "--out", again)
    assert said.code == 2
    assert "add --resume to go on" in said.err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--only", "vae-2000"), "unknown row 'vae-2000'"),
        (("--scale", "big"), "unknown scale 'big'"),
        (("--data", "mnst"), "mnst"),
        (("--seeds", 0), "seeds is 0; it must be at least 1"),
    ],
)
def test_bad_words_are_refused_before_anything_is_written(cli, tmp_path, words, what):
    said = cli("reproduce", "table1", "--data", "digits", "--scale", "smoke", *words, "--out", tmp_path / "out")
    assert said.code == 2
    assert what in said.err
    assert not (tmp_path / "out").exists()


def test_a_diverging_row_is_marked_and_the_others_go_on(cli, tmp_path, monkeypatch):
    rows = (Recipe("bad", "beta-vae:beta=3e38", 100, 1), Recipe("good", "vae", 100, 1))
    monkeypatch.setattr(reproduce, "load_recipes", lambda _table: rows)
    said = cli(*WORDS, "--out", tmp_path / "out")
    assert said.code == 1
    assert "1 of 2 runs failed: beta-vae-beta3e+38-epochs2-seed0" in said.err
    failed, done = rows_of(tmp_path / "out")
    assert (failed["status"], done["status"]) == ("failed", "done")
    assert "diverged" in failed["failure"]
    assert "failed: training diverged in epoch 1 at step 1" in (tmp_path / "out" / "table1.md").read_text()


def test_fewer_seeds_now_leave_the_others_for_later(cli, tmp_path, monkeypatch):
    monkeypatch.setitem(SCALES, "smoke", replace(SCALES["smoke"], seeds=2))
    words = (*WORDS, "--only", "vae", "--out", tmp_path / "out")
    assert cli(*words, "--seeds", 1).code == 0
    assert [row["status"] for row in rows_of(tmp_path / "out")] == ["done", "waiting"]
    assert cli(*words, "--resume").code == 0
    assert [row["status"] for row in rows_of(tmp_path / "out")] == ["done", "done"]


def test_one_process_a_run_gives_the_same_as_one_for_all(cli, forked, tmp_path, monkeypatch):
    names = ("lambda-1.01", "lambda-1.01-released")
    assert cli(*WORDS, "--only", *names, "--out", tmp_path / "here").code == 0
    monkeypatch.setitem(SCALES, "smoke", replace(SCALES["smoke"], here=False))
    said = cli(*WORDS, "--only", *names, "--out", tmp_path / "apart", "--workers", 2)
    assert said.code == 0, said.err
    runs = [row["run"] for row in rows_of(tmp_path / "apart")]
    assert len(runs) == 2
    for run in runs:
        assert (tmp_path / "apart" / "runs" / f"{run}.log").exists()
        assert outcome(tmp_path / "apart" / "runs" / run) == outcome(tmp_path / "here" / "runs" / run)


def test_other_folders_and_changed_recipes_are_refused(cli, tmp_path, monkeypatch):
    out, other = tmp_path / "out", tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    said = cli(*WORDS, "--only", "vae", "--out", other, "--resume")
    assert said.code == 2
    assert "holds no reproduction" in said.err
    assert cli(*WORDS, "--only", "vae", "--out", out).code == 0
    said = cli("reproduce", "table1", "--data", "digits", "--scale", "quick", "--out", out, "--resume")
    assert said.code == 2
    assert "its scale is 'smoke', here it is 'quick'" in said.err
    scale = replace(SCALES["smoke"], settings={**SCALES["smoke"].settings, "iw_samples": 9})
    monkeypatch.setitem(SCALES, "smoke", scale)
    said = cli(*WORDS, "--only", "vae", "--out", out, "--resume")
    assert said.code == 2
    assert "the recipe of vae-epochs2-seed0 has changed" in said.err


def test_smoke_takes_the_first_rows_of_larger_data_and_the_page_says_what_must_be_said(cli, tmp_path, monkeypatch):
    monkeypatch.setitem(SCALES, "smoke", replace(SCALES["smoke"], rows=(200, 50)))
    monkeypatch.setitem(reproduce._NOTES, "digits", "Not comparable.")
    out = tmp_path / "out"
    said = cli(*WORDS, "--only", "vae", "--out", out)
    assert said.code == 0, said.err
    provenance = json.loads((out / "provenance.json").read_text())
    assert provenance["notes"][1] == "Not comparable."
    assert (provenance["data"]["train"], provenance["data"]["test"]) == (200, 50)
    assert "> Not comparable." in (out / "table1.md").read_text()
    before = (out / "data" / "digits-smoke.npz").read_bytes()
    assert cli(*WORDS, "--only", "warm-up", "--out", out, "--resume").code == 0
    assert (out / "data" / "digits-smoke.npz").read_bytes() == before
    assert {row["recipe"] for row in rows_of(out)} == {"vae", "warm-up"}


@pytest.mark.parametrize("table", ["table2", "table3"])
def test_a_table_of_images_is_run_on_colours_with_bits_per_dimension(cli, tmp_path, colours, table):
    out = tmp_path / "out"
    said = cli("reproduce", table, "--data", colours, "--scale", "smoke", "--out", out)
    assert said.code == 0, said.err
    rows = rows_of(out)
    assert [(row["recipe"], row["status"]) for row in rows] == [("vae", "done"), ("lambda-1.001", "done")]
    for row in rows:
        assert row["nll_bound_bpd"] == pytest.approx(row["nll_bound"] / (192 * math.log(2)))
        assert row["surrogate_bpd"] <= row["nll_bound_bpd"] + 1e-9
    assert "BPD bound" in (out / f"{table}.md").read_text()


def test_a_table_of_colours_refuses_grey_data(cli, tmp_path):
    said = cli("reproduce", "table2", "--data", "digits", "--scale", "smoke", "--out", tmp_path / "out")
    assert said.code == 2
    assert "Table 2 is of RGB images and digits holds grey images of shape (8, 8)" in said.err
    assert not (tmp_path / "out").exists()
