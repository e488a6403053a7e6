import base64
import json
from pathlib import Path

import numpy as np
import pytest
from fake_records import METHODS, exponent, write_comparison

from lambda_vae.records import load_comparison
from lambda_vae.reports import comparison_table
from lambda_vae.reports.page_data import BIN_EDGES, exponent_curve, page_data, thin


@pytest.mark.parametrize(("count", "most"), [(0, 5), (1, 5), (4, 5), (5, 5), (400, 60)])
def test_thin_keeps_both_ends(count: int, most: int) -> None:
    kept = thin(count, most)
    assert len(kept) == min(count, most)
    assert count == 0 or (kept[0], kept[-1]) == (0, count - 1)
    assert kept == sorted(set(kept))


@pytest.mark.parametrize("delta", [1.01, 1.19, 3.0])
def test_curve_is_equation_16(delta: float) -> None:
    std, curve = exponent_curve(delta)
    np.testing.assert_allclose(curve, exponent(np.array(std), delta), rtol=1e-9)


def test_curve_of_a_plain_vae_is_one() -> None:
    assert set(exponent_curve(None)[1]) == {1.0}


def test_histograms_count_every_dimension(tmp_path: Path) -> None:
    record = load_comparison(write_comparison(tmp_path, seeds=1, epochs=5))
    data = page_data(record, comparison_table(record.rows))
    for run in data["runs"]:
        assert [sum(counts) for counts in run["histograms"]] == [30] * 5
    awake = METHODS["vae"][2]
    assert sum(data["runs"][0]["histograms"][-1][int(np.searchsorted(BIN_EDGES, 0.95)) :]) == 30 - awake


def test_tracks_survive_packing(tmp_path: Path) -> None:
    record = load_comparison(write_comparison(tmp_path, ("lambda-1.01",), seeds=1, epochs=5))
    packed = page_data(record, comparison_table(record.rows))["runs"][0]["tracks"]["std_mean"]
    steps = np.frombuffer(base64.b64decode(packed["data"]), "<u2").reshape(30, 5)
    np.testing.assert_allclose(packed["low"] + steps * packed["step"], record.runs[0].track("std_mean").T, atol=1e-5)


def test_data_hold_no_nan(tmp_path: Path) -> None:
    folder = write_comparison(tmp_path, ("vae",), seeds=1, epochs=5)
    metrics = folder / "runs/vae-seed0/metrics.json"
    content = json.loads(metrics.read_text())
    content["dimensions"]["kl"][0] = None
    metrics.write_text(json.dumps(content))
    record = load_comparison(folder)
    data = page_data(record, comparison_table(record.rows))
    assert data["runs"][0]["dims"]["kl"][0] is None
    json.dumps(data, allow_nan=False)


def test_wide_runs_stay_small(tmp_path: Path) -> None:
    record = load_comparison(write_comparison(tmp_path, ("vae", "lambda-1.01"), 1, 1024, 120, images=False))
    assert len(json.dumps(page_data(record, comparison_table(record.rows)))) < 3_000_000
