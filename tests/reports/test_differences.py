"""Sentences beside published figures, the archive of a comparison, and the page of a table in blocks."""

import json
from pathlib import Path
from typing import Any

import pytest
from fake_records import write_comparison

from lambda_vae.files import read_json, write_json
from lambda_vae.records import RunRow
from lambda_vae.records.read import load_comparison
from lambda_vae.reports.differences import differences
from lambda_vae.reports.publish import write_results
from lambda_vae.reports.published import published_figures


def row(**values: Any) -> RunRow:
    given = {"run": "a", "method": "vae", "label": "VAE", "status": "done", "latent_dim": 30, "paper": None, **values}
    return RunRow.from_record(given, Path("table.json"))


def test_the_paper_s_nll_of_a_lambda_run_is_put_beside_the_surrogate_and_the_bound_is_named() -> None:
    mine = row(
        method="lambda-vae", label="λ-VAE δ=1.01", delta=1.01, paper="δ=1.01", surrogate_nll=76.0, nll_bound=115.0,
        excess_kl=39.0, active_units=25, snr_capacity=45.0, cause_counts={"gradient imbalance": 1, "no signal": 4},
    )  # fmt: skip
    (text,) = differences([mine], "mnist")
    assert text.startswith("λ-VAE δ=1.01: ")
    assert 'the paper\'s "NLL" 78.43 is its surrogate and may be compared with our surrogate only, 76.00' in text
    assert "(2.4 nats lower)" in text
    assert "the valid bound of the same runs is 115.00, higher by the 39.0 nats" in text
    assert (
        "Active units: 25 here, 29 in the paper; here the others collapsed, mostly because the dimensions in use leave"
        in text
    )
    assert "the paper's 69.4 nats is what δ alone predicts" in text


def test_a_plain_run_is_compared_by_its_bound_and_capacity_for_each_unit() -> None:
    mine = row(
        paper="VAE", surrogate_nll=103.0, nll_bound=103.0, excess_kl=0.0, active_units=7, snr_capacity=14.0,
        cause_counts={"gradient imbalance": 23},
    )  # fmt: skip
    (text,) = differences([mine], "mnist")
    assert 'the paper\'s "NLL" 97.17 is to be compared with our bound 103.00, 5.8 nats higher.' in text
    assert "(gradient imbalance)" in text
    assert "Capacity: 14.0 nats here, 23.2 in the paper, 2.00 and 1.66 for each active unit." in text


def test_near_figures_need_no_explanation_and_spread_widens_what_is_near() -> None:
    near = row(paper="VAE", surrogate_nll=97.5, nll_bound=97.5, excess_kl=0.0, active_units=14, snr_capacity=23.0)
    assert differences([near], "mnist") == (
        'VAE: the paper\'s "NLL" 97.17 is to be compared with our bound 97.50, much the same.',
    )
    wide = [near.updated(run=str(bound), surrogate_nll=bound, nll_bound=bound) for bound in (98.0, 102.0)]
    assert "much the same" in differences(wide, "mnist")[0]


def test_figures_from_elsewhere_stand_beside_the_quantity_they_are_and_only_for_their_data() -> None:
    figure = {"data": "mnist", "quantity": "nll_iw", "value": 85.79, "source": "somebody"}
    mine = row(label="VampPrior", nll_iw=87.0, elsewhere=[figure])
    assert differences([mine], "mnist") == (
        "VampPrior: nll_iw 87.00 here, 1.2 nats higher than the 85.79 of somebody.",
    )
    assert differences([mine], "omniglot") == ()


def test_a_row_s_own_line_of_the_paper_decides_where_it_has_one() -> None:
    plain = RunRow(run="a", label="VAE", method="vae", status="done", latent_dim=30)
    assert published_figures(plain, "mnist")["active_units"] == 14
    assert published_figures(plain.updated(paper=None), "mnist") == {}
    assert published_figures(plain.updated(paper="β=2"), "mnist")["active_units"] == 11
    assert published_figures(plain.updated(paper="β=2", latent_dim=4), "mnist") == {}
    assert published_figures(plain.updated(epochs=100), "mnist")["active_units"] == 14
    assert published_figures(plain.updated(epochs=99), "mnist") == {}
    assert published_figures(plain.updated(measured_on="validation"), "mnist") == {}


@pytest.fixture
def blocks(tmp_path: Path) -> Path:
    """A comparison whose rows belong to two blocks, one run of which failed."""
    folder = write_comparison(tmp_path / "run", seeds=2, epochs=4)
    rows = read_json(folder / "table.json")
    for place, line in enumerate(rows):
        block = "200 epochs" if place % 2 else "100 epochs"
        more = {"block": block, "title": line["label"], "note": "", "paper": None, "step_cost": 1.5}
        line |= {**more, "label": f"{line['label']}, {block}"}
    rows[0] |= {"status": "failed", "failure": "a_b & 100% {sad}", "note": "mind <this>"}
    write_json(folder / "table.json", rows)
    provenance = read_json(folder / "provenance.json")
    write_json(folder / "provenance.json", {**provenance, "title": "Table 1", "notes": ["Nothing is comparable."]})
    return folder


def test_blocks_stand_apart_with_plain_titles(blocks: Path, tmp_path: Path) -> None:
    page = write_results(blocks, tmp_path / "out.md").read_text()
    assert page.startswith("# Table 1\n\n> Nothing is comparable.\n")
    first, second = page.split("## 100 epochs")[1].split("## 200 epochs")
    assert "| λ-VAE δ=1.01 |" in page
    assert ", 100 epochs" not in page
    assert "1.50" in first
    assert "Step's cost" in second
    assert (tmp_path / "out-frontier-100-epochs.svg").exists()
    assert (tmp_path / "out-frontier-200-epochs.svg").exists()
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0].startswith("block,label,")
    assert {line.split(",")[0] for line in lines[1:]} == {"100 epochs", "200 epochs"}


def test_latex_is_booktabs_and_every_sign_in_it_is_escaped(blocks: Path, tmp_path: Path) -> None:
    write_results(blocks, tmp_path / "out.md")
    text = (tmp_path / "out.tex").read_text()
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == text.count(r"\end{tabular}") == 2
    lines = [line for line in text.splitlines() if not line.startswith("%")]
    assert all(line.isascii() for line in lines), [line for line in lines if not line.isascii()]
    head = next(line for line in lines if line.startswith("method"))
    assert {line.count(" & ") for line in lines if line.endswith(r"\\")} == {head.count(" & ")}
    assert not any(sign in line.replace(rf"\{sign}", "") for line in lines for sign in "%#")
    assert r"$\lambda$-VAE" in text
    assert "a_b & 100% {sad}" in text  # a comment, where nothing needs escaping


def test_the_archive_holds_what_the_page_was_made_of(blocks: Path, tmp_path: Path) -> None:
    write_results(blocks, tmp_path / "out.md")
    content = json.loads((tmp_path / "out.json").read_text())
    record = load_comparison(blocks)
    assert len(content["rows"]) == len(record.rows)
    assert [run["run"] for run in content["runs"]] == [run.row.run for run in record.runs if not run.failed]
    run, mine = record.runs[-1], content["runs"][-1]
    assert mine["dimensions"]["kl"] == pytest.approx(list(run.dimensions["kl"]), rel=1e-6)
    assert mine["provenance"] == dict(run.provenance)
    assert all(len(line) < 40_000 for line in (tmp_path / "out.json").read_text().splitlines())
