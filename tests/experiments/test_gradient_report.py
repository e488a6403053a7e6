"""`lambda-vae gradients`: a comparison on disk with planted exponents and thresholds, read back, pooled, printed."""

import json

import numpy as np
import pytest

from lambda_vae.cli import main
from lambda_vae.errors import InputError
from lambda_vae.measures.gradients import measure_gradients

E, D = 40, 12


def planted(alpha, rng):
    """Eight dimensions that collapse with |g| = 1.5 u^alpha, four active at rho = 1."""
    u = np.geomspace(0.18, 0.012, E)[:, None] * np.exp(0.1 * rng.normal(size=(1, 8)))
    std = np.concatenate((1 - u, np.full((E, 4), 0.3)), 1)
    force = 1 / std - std
    pull = np.concatenate((1.5 * u**alpha, force[:, 8:] * (1 + 0.001 * rng.normal(size=(E, 4)))), 1)
    signal = np.concatenate((0.1 * u, np.full((E, 4), 0.9)), 1)
    return {
        "std_mean": std, "std_spread": np.full_like(std, 1e-4), "signal_power": signal, "gradient_ratio": pull / force,
        "exponent": np.ones_like(std),
    }  # fmt: skip


def write_run(folder, name, label, dimensions):
    folder.mkdir(parents=True)
    row = {"schema": 1, "run": name, "method": "vae", "label": label, "status": "done", "failure": None, "seed": 0}
    (folder / "metrics.json").write_text(json.dumps({**row, "latent_dim": D}))
    if dimensions is not None:
        columns = {key: values.tolist() for key, values in dimensions.items()}
        history = {"epochs": list(range(1, E + 1)), "kl_weight": [1.0] * E, "dimensions": columns}
        (folder / "history.json").write_text(json.dumps(history))
    return row


@pytest.fixture
def comparison(tmp_path):
    rng = np.random.default_rng(0)
    kinds = [("a-seed0", "A", 1.5), ("a-seed1", "A", 1.5), ("b-seed0", "B", 1.0), ("c-seed0", "C", None)]
    rows = [
        write_run(tmp_path / "cmp" / "runs" / name, name, label, None if alpha is None else planted(alpha, rng))
        for name, label, alpha in kinds
    ]
    (tmp_path / "cmp" / "table.json").write_text(json.dumps(rows))
    return tmp_path / "cmp"


def test_runs_and_pools_show_what_was_planted(comparison):
    found = measure_gradients(comparison)
    assert [row.name for row in found.runs] == ["a-seed0", "a-seed1", "b-seed0"]
    assert [row.name for row in found.pooled] == ["A", "all runs"]
    pooled = found.pooled[0]
    assert pooled.runs == ("a-seed0", "a-seed1")
    assert pooled.decay.alpha.value == pytest.approx(1.5, abs=0.02)
    assert pooled.decay.dimensions == 16
    assert pooled.decay.regime == "alpha > 1"
    assert found.runs[2].decay.alpha.value == pytest.approx(1.0, abs=0.02)
    assert found.runs[2].decay.nearest > 0.02  # twice where they end, 0.012
    for row in (*found.runs, *found.pooled):
        assert row.ratios["end"].accuracy.value == 1.0
        assert row.ratios["end"].high == pytest.approx(1.0, abs=0.01)
        assert row.attenuation.quotient.known
    assert found.skipped.keys() == {"c-seed0"}


def test_command_prints_tables_and_writes_everything(comparison, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "180")
    main(["gradients", str(comparison), "--out", str(tmp_path / "g.json")])
    said = capsys.readouterr().out
    assert "Pooled" in said
    assert "Runs" in said
    assert "a-seed0" in said
    assert "c-seed0: left out; the history has no std_mean" in said
    record = json.loads((tmp_path / "g.json").read_text())
    assert record["pooled"][0]["decay"]["alpha"]["value"] == pytest.approx(1.5, abs=0.02)
    assert set(record["runs"][0]["critical_ratio"]) == {"end", "training", "lowest"}
    again = measure_gradients(comparison).to_record()
    assert again == measure_gradients(comparison).to_record()


def test_a_single_run_has_no_pool(comparison, capsys):
    main(["gradients", str(comparison / "runs" / "b-seed0")])
    said = capsys.readouterr().out
    assert "Runs" in said
    assert "Pooled" not in said


def test_what_is_no_run_is_refused(comparison, tmp_path, capsys):
    with pytest.raises(
        InputError, match=r"holds no history of gradients \(c-seed0: left out; the history has no std_m"
    ):
        measure_gradients(comparison / "runs" / "c-seed0")
    with pytest.raises(SystemExit):
        main(["gradients", str(tmp_path / "nowhere")])
    assert "give the folder of a run or a comparison" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["gradients", str(comparison), "--reference_std", "0"])
    assert "the reference noise is 0.0; it must be greater than 0" in capsys.readouterr().err
