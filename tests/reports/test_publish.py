import json
from pathlib import Path

import pytest
from fake_records import write_comparison, write_run

from lambda_vae.errors import InputError
from lambda_vae.files import read_json, write_json
from lambda_vae.reports.publish import write_figures, write_results


def test_results_page_holds_command_table_and_frontier(tmp_path: Path) -> None:
    folder = write_comparison(tmp_path / "run", seeds=2, epochs=4)
    page = write_results(folder, tmp_path / "results" / "fake.md").read_text()
    provenance = read_json(folder / "provenance.json")
    assert provenance["command"] in page
    assert provenance["commit"] in page
    assert "8 of 8 finished" in page
    assert "±" in page
    assert "not a bound" in page
    assert (tmp_path / "results" / "fake-frontier.svg").stat().st_size > 1000
    assert "## Which method to choose\n\n- Best bound: VAE, warm-up. Importance-weighted NLL" in page
    rows = json.loads((tmp_path / "results" / "fake.json").read_text())["rows"]
    assert [row["run"] for row in rows] == [row["run"] for row in read_json(folder / "table.json")]
    assert (tmp_path / "results" / "fake.csv").read_text().count("\n") == 1 + 4


def test_results_page_counts_runs_that_are_missing(tmp_path: Path) -> None:
    folder = write_comparison(tmp_path / "run", seeds=2, epochs=4, failed="the loss became NaN")
    rows = read_json(folder / "table.json")
    done = [row for row in rows if row["status"] == "done"]
    for row in done[1:3]:
        row["status"] = "waiting"
    write_json(folder / "table.json", rows)
    page = write_results(folder, tmp_path / "fake.md").read_text()
    assert f"{len(done) - 2} of {len(rows)} finished" in page
    assert f"not finished: 2 of {len(rows)} runs are still to come" in page
    assert f"- 2 of {len(rows)} runs are still to come." in page
    assert f"{len(rows) - len(done)} of {len(rows)} runs failed" in page
    assert page.count("failed: the loss became NaN") == len(rows) - len(done)
    assert f"- Left out: {len(rows) - len(done)} failed, 2 still to come of {len(rows)} runs." in page


def test_results_page_averages_the_readings_of_an_epoch(tmp_path: Path) -> None:
    folder = write_comparison(tmp_path / "run", seeds=2, epochs=4)
    values = {}
    for run in sorted((folder / "runs").iterdir()):
        record = read_json(run / "history.json")
        label = read_json(run / "metrics.json")["label"]
        values.setdefault(label, []).append(100.0 + len(values.get(label, [])))
        record["test"] = [{"epoch": 2, "nll_bound": values[label][-1], "surrogate_nll": 90.0, "active_units": 7.0}]
        write_json(run / "history.json", record)
    page = write_results(folder, tmp_path / "fake.md", reading_epochs=[2, 3]).read_text()
    assert "## At epoch 2" in page
    assert "## At epoch 3" not in page
    assert page.split("## At epoch 2")[1].count("100.50 ± 0.71") == len(values)


def test_results_page_must_be_markdown(tmp_path: Path) -> None:
    folder = write_comparison(tmp_path / "run", seeds=1, epochs=4)
    with pytest.raises(InputError, match=r"\.html"):
        write_results(folder, tmp_path / "fake.html")
    assert not (tmp_path / "fake.html").exists()


def test_figures_of_a_run_and_a_comparison_are_written(tmp_path: Path) -> None:
    comparison = write_comparison(tmp_path / "many", seeds=1, epochs=4)
    names = {path.stem for path in write_figures(comparison)}
    assert {"equalization", "exponents", "frontier"} <= names
    assert any(name.startswith("images-") for name in names)
    write_run(tmp_path / "one", epochs=4)
    names = {path.stem for path in write_figures(tmp_path / "one")}
    assert {"equalization", "exponents", "images"} == names
