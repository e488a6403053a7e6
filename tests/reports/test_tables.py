import csv
import io
import math
from typing import Any

import pytest
from rich.console import Console

from lambda_vae.records import RunRow
from lambda_vae.records.columns import COLUMNS, SURROGATE, SURROGATE_BPD
from lambda_vae.reports import comparison_table


def row(label: str = "VAE", seed: int = 0, **values: Any) -> RunRow:
    given = {"method": "vae", "status": "done", "beta": 1.0, "latent_dim": 30, "release_epochs": 0, **values}
    return RunRow(run=f"{label}-{seed}", label=label, seed=seed, **given)


def full(label: str, **values: Any) -> RunRow:
    numbers = {column.key: 100.125 for column in COLUMNS if not column.key.startswith("paper:")}
    return row(label).updated(**numbers | {"nll_iw_proposal": "q", "nll_iw_samples": 64, "mean_exponent": 1.0} | values)


def test_seeds_are_averaged_with_sample_deviation() -> None:
    table = comparison_table([row(seed=s, nll_bound=v) for s, v in enumerate((100.0, 102.0, 107.0))])
    cell = table.lines[0].cell("nll_bound")
    assert cell.mean == pytest.approx(103.0)
    assert cell.spread == pytest.approx(math.sqrt((9 + 1 + 16) / 2))
    assert table.lines[0].runs == 3


def test_labels_keep_their_order_and_stay_apart() -> None:
    table = comparison_table([row("B", active_units=1), row("A", active_units=2), row("B", 1, active_units=3)])
    assert [(line.label, line.runs) for line in table.lines] == [("B", 2), ("A", 1)]


def test_one_seed_has_no_spread() -> None:
    table = comparison_table([row(active_units=7, nll_bound=104.6)])
    assert [table.text(table.lines[0], column) for column in table.columns] == ["7", "104.60"]


def test_failed_run_is_explained_and_not_averaged() -> None:
    failed = row(seed=1, status="failed", failure="the loss became NaN at step 12", nll_bound=1e9)
    table = comparison_table([row(nll_bound=100.0), failed])
    assert table.lines[0].cell("nll_bound").mean == 100.0
    assert table.failures == ("VAE-1 failed: the loss became NaN at step 12",)
    assert "the loss became NaN" in table.to_markdown()


def test_all_failed_gives_a_table_of_reasons() -> None:
    table = comparison_table([row(status="failed", failure=None)])
    assert table.columns == ()
    assert "no reason was recorded" in table.to_markdown()


def test_empty_columns_are_left_out() -> None:
    table = comparison_table([row(nll_bound=1.0, knn_accuracy=None)])
    assert [column.key for column in table.columns] == ["nll_bound"]


def test_a_cost_timed_once_for_all_seeds_has_no_spread() -> None:
    table = comparison_table([row(seed=s, step_cost=1.5) for s in range(2)])
    assert table.text(table.lines[0], table.columns[0]) == "1.50"


def test_a_prediction_has_the_spread_of_the_signal_it_is_made_for() -> None:
    table = comparison_table([row(seed=s, snr_capacity_predicted=69.4 + s) for s in range(2)])
    assert table.text(table.lines[0], table.columns[0]) == "69.9 ± 0.7"


def test_proposals_are_named() -> None:
    rows = [row(seed=s, nll_iw=90.0, nll_iw_proposal=p, mean_exponent=3.0) for s, p in enumerate(("q", "q_sampled"))]
    assert comparison_table(rows).lines[0].cell("nll_iw").note == "q_λ, q₁"


def test_percentages_are_scaled() -> None:
    table = comparison_table([row(linear_probe_accuracy=0.912)])
    assert table.text(table.lines[0], table.columns[0]) == "91.2"


def test_paper_stands_beside_ours_for_the_same_setting_only() -> None:
    ours = row("λ", method="lambda-vae", delta=1.01, active_units=27)
    released = row("released", method="lambda-vae", delta=1.01, active_units=26, release_epochs=50)
    table = comparison_table([ours, released, row(active_units=7)], data="mnist")
    assert [line.cell("paper:active_units").mean for line in table.lines] == [29, None, 14]
    assert comparison_table([ours], data="own").lines[0].cell("paper:active_units").mean is None
    assert any("Table 1" in note for note in table.notes())


@pytest.mark.parametrize("form", ["to_markdown", "to_latex"])
def test_surrogate_is_never_printed_without_its_warning(form: str) -> None:
    text = getattr(comparison_table([full("VAE")], data="mnist"), form)()
    assert SURROGATE in text
    assert "not a bound on" in text


def test_no_other_column_claims_the_surrogate() -> None:
    assert [column.heading for column in COLUMNS if "bound" in column.heading] == [
        "NLL bound",
        SURROGATE,
        "BPD bound",
        SURROGATE_BPD,
        "perplexity, bound",
        "bits per token, bound",
    ]
    assert all("surrogate" in column.heading for column in COLUMNS if "surrogate" in column.key)


@pytest.mark.parametrize("width", [60, 80, 100, 140, 200])
@pytest.mark.parametrize("label", ["VAE", "λ-VAE δ=1.01 released 50", "a method with a very long name indeed " * 3])
def test_terminal_table_fits(width: int, label: str) -> None:
    table = comparison_table([full(label), full(label, seed=1, nll_bound=123.4), full("VAE")], data="mnist")
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(table.to_rich(width))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)
    shown = table.fitting(width)
    assert [column.key for column in shown][:1] == ["active_units"]
    assert (width < 140) or {"nll_bound", "nll_iw", "surrogate_nll", "snr_capacity"} <= {c.key for c in shown}


def test_terminal_markup_in_a_label_stays_text() -> None:
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(comparison_table([full("[red]x[/red]")]).to_rich(100))
    assert "[red]x[/red]" in console.export_text()


def test_markdown_signs_in_a_label_stay_text() -> None:
    text = comparison_table([full("a|b<img>*c*")]).to_markdown()
    assert "a\\|b&lt;img&gt;\\*c\\*" in text
    assert len({line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("|")}) == 1


def test_latex_signs_in_a_label_stay_text() -> None:
    text = comparison_table([full("100%_$x$\\&{λ}")]).to_latex()
    assert r"100\%\_\$x\$\textbackslash{}\&\{$\lambda$\}" in text
    widths = {line.replace(r"\&", "").count("&") for line in text.splitlines() if line.endswith(r"\\")}
    assert len(widths) == 1


def test_csv_holds_plain_numbers() -> None:
    table = comparison_table([full("a,b"), full("a,b", seed=1, nll_bound=102.125)])
    lines = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert lines[0]["label"] == "a,b"
    assert float(lines[0]["nll_bound_mean"]) == 101.125
    assert lines[0]["nll_iw_proposal"] == "q"


def test_a_column_that_older_records_lack_is_shown_once_every_run_has_it() -> None:
    new, old = row("new", active_units=9, active_directions=5), row("old", active_units=7)
    keys = lambda *rows: [column.key for column in comparison_table(rows).columns]  # noqa: E731
    assert "active_directions" in keys(new)
    assert "active_directions" in keys(new, row("waiting").updated(status="waiting"))
    assert "active_directions" not in keys(new, old)
    half = comparison_table([new, new.updated(seed=1, active_directions=None)])
    assert half.lines[0].cell("active_directions").mean is None


def test_a_model_of_anybody_s_is_not_said_to_be_measured_on_a_test_set() -> None:
    mine = RunRow(run="a", label="mine", method="vae", status="done", nll_bound=1.0, examples=9)
    assert comparison_table([mine]).notes()[0] == "Likelihoods are in nats per example."
    assert comparison_table([mine.updated(epochs=3)]).notes()[0] == "Likelihoods are in nats per test example."
