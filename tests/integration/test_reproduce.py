"""`reproduce table1` end to end on the digits, at smoke scale."""

# ruff: noqa: F811 - fixtures come by import

import json
from pathlib import Path

import pytest
from cli_process import cli, own_cache  # noqa: F401

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
    assert all(row["step_cost"] > 0 for row in rows)
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
        (("--only", "vae-20"), "unknown row 'vae-20'"),
        (("--scale", "big"), "unknown scale 'big'"),
        (("--data", "mnst"), "mnst"),
    ],
)
def test_bad_words_are_refused_before_anything_is_written(cli, tmp_path, words, what):
    said = cli("reproduce", "table1", "--data", "digits", "--scale", "smoke", *words, "--out", tmp_path / "out")
    assert said.code == 2
    assert what in said.err
    assert not (tmp_path / "out").exists()
