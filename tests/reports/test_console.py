import io
from pathlib import Path

from fake_records import HOSTILE, write_comparison, write_run
from rich.console import Console

from lambda_vae.records import load_record
from lambda_vae.reports import print_comparison, verdict_lines


def printed(folder: Path, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    print_comparison(load_record(folder), console)
    return console.export_text()


def test_terminal_shows_table_notes_and_verdict(tmp_path: Path) -> None:
    text = printed(write_comparison(tmp_path, seeds=1, epochs=4, failed="the loss became NaN"), 140)
    for expected in (
        "NLL bound", "not a bound", "failed: the loss became NaN", "The plain VAE uses 7 of 30",
        "Which method to choose", "Best bound: VAE, warm-up.", "Left out: 1 failed of 4 runs.",
    ):  # fmt: skip
        assert expected in text, expected


def test_notes_speak_only_of_columns_that_are_shown(tmp_path: Path) -> None:
    folder = write_comparison(tmp_path, seeds=1, epochs=100)
    assert "Table 1" not in printed(folder, 100)
    assert "Table 1" in printed(folder, 320)


def test_markup_in_names_stays_text(tmp_path: Path) -> None:
    name = f"[bold]x[/bold] {HOSTILE}"
    text = printed(write_comparison(tmp_path, seeds=1, epochs=4, label=name, failed="[/red] oh"), 200)
    assert "[bold]x[/bold]" in text
    assert "[/red] oh" in text


def test_single_run_speaks_for_itself(tmp_path: Path) -> None:
    write_run(tmp_path, epochs=4)
    assert verdict_lines(load_record(tmp_path)) == ("7 of 30 latent dimensions are in use.",)
