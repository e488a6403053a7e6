"""What is shown while and before runs go on: bars, tables; names are text."""

import io
import subprocess

import pytest
import torch
from rich.console import Console

from lambda_vae.cli.listing import list_data, methods_table
from lambda_vae.comparisons._compare import progress
from lambda_vae.comparisons.job import Job
from lambda_vae.data import NAMED
from lambda_vae.errors import InputError
from lambda_vae.files import write_json
from lambda_vae.measures.theory import draw_theory, theory_table
from lambda_vae.runs import METHODS
from lambda_vae.runs.callbacks import ProgressBar
from lambda_vae.runs.image_arrays import pixels
from lambda_vae.training import EpochRow, Trainer


def shown(what, width=200):
    console = Console(file=io.StringIO(), width=width)
    console.print(what)
    return console.file.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_the_bar_shows_loss_active_units_and_time_left(terminal):
    console = Console(file=io.StringIO(), width=200, force_terminal=terminal)
    with ProgressBar("[red]x[/red]", 10, 30, console) as bar:
        bar(EpochRow(10, {"loss": 12.345, "seconds": 2.0, "active_units": 7.0}, {}), Trainer.__new__(Trainer))
    text = console.file.getvalue()
    assert "[red]x[/red]" in text
    assert "12.3" in text
    assert "AU 7/30" in text


def test_a_bar_without_measures_still_shows_the_loss():
    console = Console(file=io.StringIO(), width=200)
    with ProgressBar("x", 1, 30, console) as bar:
        bar(EpochRow(1, {"loss": 1.0, "seconds": 2.0}, {}), Trainer.__new__(Trainer))
    assert "1.00" in console.file.getvalue()


def test_the_progress_of_a_comparison_names_what_runs(tmp_path):
    process = subprocess.Popen(["sleep", "600"])
    running = Job("[bold]a[/bold]", tmp_path / "a", [], process=process)
    waiting = Job("b", tmp_path / "b", [])
    write_json(
        tmp_path / "a" / "progress.json", {"epoch": 2, "epochs": 5, "seconds": 60.0, "loss": 3.0, "active_units": 4}
    )
    text = shown(progress([running, waiting]))
    process.kill()
    process.wait()
    assert "[bold]a[/bold]" in text
    assert "2/5" in text
    assert "3.0 min" in text
    assert "0 of 2 runs done, 1 waiting, 0 failed" in text


def test_tables_name_all_members():
    methods, data = shown(methods_table()), shown(next(list_data()), 400)
    assert all(name in methods for name in METHODS)
    assert all(name in data for name in NAMED)


def test_theory_table_has_one_row_a_delta():
    text = shown(theory_table([1.01, float("inf")], 30, 20.0))
    assert "69.4" in text
    assert "inf" in text


def test_theory_is_drawn_to_known_endings_only(tmp_path):
    draw_theory([1.1, float("inf")], 20.0, tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match=r"x.gif ends in '.gif'; use .svg, .pdf or .png"):
        draw_theory([1.1], 20.0, tmp_path / "x.gif")


def test_pixels_are_clipped_and_rounded():
    image = pixels(torch.tensor([[-1.0, 0.0, 0.5, 2.0]]), (2, 2))
    assert image.tolist() == [[[0, 0], [128, 255]]]
