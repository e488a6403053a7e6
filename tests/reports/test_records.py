import json
from pathlib import Path

import numpy as np
import pytest
from fake_records import write_comparison, write_run

from lambda_vae.errors import InputError
from lambda_vae.records import RunRow, load_comparison, load_record, load_run
from lambda_vae.records.read import check_dimensions


def test_run_comes_back_whole(tmp_path: Path) -> None:
    row = write_run(tmp_path, "lambda-1.01", epochs=6)
    run = load_run(tmp_path)
    assert run.label == "λ-VAE δ=1.01"
    assert run.row.nll_bound == row["nll_bound"]
    assert not run.failed
    assert run.column("kl").shape == (30,)
    assert run.track("std_mean").shape == (6, 30)
    assert run.images["traversals"].shape == (6, 9, 28, 28)
    assert run.provenance["data"]["name"] == "mnist"
    assert run.config.startswith("method:")


@pytest.mark.parametrize("missing", ["history.json", "images.npz", "provenance.json", "config.yaml"])
def test_optional_part_may_be_missing(tmp_path: Path, missing: str) -> None:
    write_run(tmp_path, epochs=3)
    (tmp_path / missing).unlink()
    assert load_run(tmp_path).row.active_units == 7


def test_failed_run_has_no_dimensions(tmp_path: Path) -> None:
    write_run(tmp_path, failure="the loss became NaN", epochs=3)
    run = load_run(tmp_path)
    assert run.failed
    assert run.column("kl").size == 0


def test_dimensions_near_the_prior_are_counted_where_an_older_record_does_not(tmp_path: Path) -> None:
    write_run(tmp_path, epochs=3)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert "near_prior" not in metrics
    metrics["dimensions"]["std_mean"] = [0.95] * 4 + [0.9] * 26
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    assert load_run(tmp_path).row.near_prior == 4
    metrics["dimensions"]["std_mean"][7] = None
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    assert load_run(tmp_path).row.near_prior is None


def test_a_capacity_predicted_where_lambda_is_one_is_left_out() -> None:
    row = RunRow(run="a", label="VAE", method="vae", status="done", snr_capacity_predicted=4.3)
    assert row.updated(mean_exponent=1.0).as_measured_today({}).snr_capacity_predicted is None
    assert row.updated(mean_exponent=5.0).as_measured_today({}).snr_capacity_predicted == 4.3


def test_null_becomes_nan(tmp_path: Path) -> None:
    write_run(tmp_path, epochs=3)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    metrics["dimensions"]["gradient_ratio"][4] = None
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    assert np.flatnonzero(np.isnan(load_run(tmp_path).column("gradient_ratio"))).tolist() == [4]


def test_comparison_keeps_rows_whose_folder_is_gone(tmp_path: Path) -> None:
    write_comparison(tmp_path, ("vae", "warm-up"), seeds=1, epochs=3)
    (tmp_path / "runs/vae-seed0/metrics.json").unlink()
    record = load_comparison(tmp_path)
    assert (len(record.rows), [run.label for run in record.runs]) == (2, ["VAE, warm-up"])


def test_run_is_a_comparison_of_one(tmp_path: Path) -> None:
    write_run(tmp_path, epochs=3)
    record = load_record(tmp_path)
    assert (len(record.rows), record.data) == (1, "mnist")


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither table\.json nor metrics\.json"):
        load_record(tmp_path)


def _change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("file", "change", "complaint"),
    [
        ("metrics.json", {"label": 3}, "'label' must be text, not 3"),
        ("metrics.json", {"nll_bound": "low"}, "'nll_bound' must be a number or null, not 'low'"),
        ("metrics.json", {"active_units": True}, "'active_units' must be a number"),
        ("metrics.json", {"dimensions": [1]}, "'dimensions' must be an object"),
        ("metrics.json", {"dimensions": {"kl": [1.0]}}, "'kl' must have 30 entries"),
        ("metrics.json", {"dimensions": {"kl": ["x"] * 30}}, "'kl' must hold numbers"),
        ("history.json", {"epochs": "all"}, "'epochs' must be a list of numbers"),
        ("history.json", {"loss": [1.0]}, "'loss' must have one number for each of the 3 epochs"),
        ("history.json", {"dimensions": {"kl": [[1.0], [1.0, 2.0], [3.0]]}}, "'kl' must have one list of equal length"),
        ("history.json", {"dimensions": {"kl": 3}}, "'kl' must have one list of equal length"),
    ],
)
def test_damaged_record_is_named(tmp_path: Path, file: str, change: dict[str, object], complaint: str) -> None:
    write_run(tmp_path, epochs=3)
    _change(tmp_path / file, **change)
    with pytest.raises(InputError, match="is damaged") as error:
        load_run(tmp_path)
    assert complaint in str(error.value)
    assert file in str(error.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"not a zip"])
def test_damaged_images_are_named(tmp_path: Path, content: bytes) -> None:
    write_run(tmp_path, epochs=3)
    (tmp_path / "images.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"images\.npz is damaged"):
        load_run(tmp_path)


def test_pickled_images_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path, epochs=3)
    np.savez(tmp_path / "images.npz", originals=np.array([object()], dtype=object))
    with pytest.raises(InputError, match=r"images\.npz is damaged"):
        load_run(tmp_path)


def test_images_of_another_type_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path, epochs=3)
    np.savez(tmp_path / "images.npz", originals=np.zeros((2, 4, 4)))
    with pytest.raises(InputError, match="'originals' must be uint8, not float64"):
        load_run(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}'])
def test_damaged_table_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "table.json").write_text(content)
    with pytest.raises(InputError, match=r"table\.json"):
        load_comparison(tmp_path)


def test_table_cannot_point_outside_its_folder(tmp_path: Path) -> None:
    write_comparison(tmp_path, ("vae",), seeds=1, epochs=3)
    rows = json.loads((tmp_path / "table.json").read_text())
    rows[0]["path"] = "../elsewhere"
    (tmp_path / "table.json").write_text(json.dumps(rows))
    with pytest.raises(InputError, match="points outside its folder"):
        load_comparison(tmp_path)


RESULTS = Path(__file__).parents[2] / "results"
ARCHIVES = sorted(path for path in RESULTS.glob("*.json") if path.with_suffix(".tex").exists())


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.stem)
def test_every_committed_row_is_read_and_written_back_the_same(path: Path) -> None:
    content = json.loads(path.read_text())
    rows = [RunRow.from_record(line, path) for line in content["rows"]]
    assert json.dumps([row.to_record() for row in rows]) == json.dumps(content["rows"])
    assert [dict(row.other) for row in rows] == [{}] * len(rows)
    assert all(row.done and row.active_units is not None for row in rows)
    for run in content["runs"]:
        check_dimensions(run["dimensions"], next(row.latent_dim for row in rows if row.run == run["run"]), path)


def test_names_that_are_not_known_are_kept_and_new_values_follow() -> None:
    line = {"status": "done", "run": "a", "later": [1], "method": "vae", "label": "VAE", "delta": None}
    row = RunRow.from_record(line, Path("table.json"))
    assert row.other == {"later": [1]}
    assert list(row.to_record().items()) == list(line.items())
    assert list(row.updated(step_cost=None, label="x").to_record()) == [*line, "step_cost"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"epochs": 2.5}, "'epochs' must be a whole number or null, not 2.5"),
        ({"cause_counts": "none"}, "'cause_counts' must be a mapping or null, not 'none'"),
        ({"elsewhere": "x"}, "'elsewhere' must be a list such as [a, b], each entry a mapping or null, not 'x'"),
        ({"run": None}, "'run' must be text, not None"),
    ],
)
def test_a_value_of_another_kind_is_named(change: dict[str, object], complaint: str) -> None:
    line = {"run": "a", "method": "vae", "label": "VAE", "status": "done", **change}
    with pytest.raises(InputError, match="is damaged") as error:
        RunRow.from_record(line, Path("table.json"))
    assert complaint in str(error.value)


def test_there_are_archives_to_read() -> None:
    assert len(ARCHIVES) > 15
