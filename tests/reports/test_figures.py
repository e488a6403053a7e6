from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from fake_records import write_comparison, write_run
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from lambda_vae.errors import InputError
from lambda_vae.reports import (
    ComparisonRecord,
    equalization_figure,
    exponent_figure,
    frontier_figure,
    image_figure,
    learning_curves,
    load_comparison,
    load_record,
    save_figure,
    theory_figure,
)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> ComparisonRecord:
    return load_comparison(write_comparison(tmp_path_factory.mktemp("comparison"), seeds=2, epochs=8))


def _theory(_record: ComparisonRecord) -> Figure:
    std = np.linspace(0.1, 0.9, 9)
    return theory_figure(std, [1.01, 1.1], np.stack([std, std]), np.stack([std, std]), np.stack([std, std]))


FIGURES: dict[str, Callable[[ComparisonRecord], Figure]] = {
    "learning_curves": lambda record: learning_curves(record.runs),
    "equalization": lambda record: equalization_figure(record.runs),
    "frontier": lambda record: frontier_figure(record.rows),
    "exponent": lambda record: exponent_figure(record.runs),
    "images": lambda record: image_figure(record.runs[0]),
    "theory": _theory,
}


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("ending", [".svg", ".pdf"])
def test_figure_has_the_same_bytes_every_time(name: str, ending: str, record: ComparisonRecord, tmp_path: Path) -> None:
    first, second = (
        save_figure(FIGURES[name](record), tmp_path / f"{number}{ending}").read_bytes() for number in range(2)
    )
    assert len(first) > 2000
    assert first == second


def test_drawing_leaves_global_settings_alone(record: ComparisonRecord, tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    save_figure(learning_curves(record.runs), tmp_path / "x.svg")
    assert dict(mpl.rcParams) == before


def test_unknown_ending_is_refused(record: ComparisonRecord, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'\.gif'; use \.svg, \.pdf or \.png"):
        save_figure(learning_curves(record.runs), tmp_path / "x.gif")


def test_hostile_label_does_not_start_mathematics(tmp_path: Path) -> None:
    folder = write_comparison(tmp_path / "c", ("vae", "lambda-1.01"), 1, epochs=4, label="$\\frac{ $ <b>")
    record = load_record(folder)
    for name in ("learning_curves", "equalization", "frontier", "exponent", "images"):
        assert save_figure(FIGURES[name](record), tmp_path / f"{name}.svg").stat().st_size > 2000


def test_crowded_labels_do_not_cover_each_other() -> None:
    places = [(14, 100.0), (15, 100.4), (15, 99.8), (16, 100.2), (7, 104.6), (27, 123.0)]
    rows = [
        {"run": str(i), "method": "vae", "label": f"method number {i}", "status": "done", "active_units": u,
         "nll_bound": b}
        for i, (u, b) in enumerate(places)
    ]  # fmt: skip
    figure = frontier_figure(rows)
    renderer = FigureCanvasAgg(figure).get_renderer()
    texts = [text for text in figure.axes[0].texts if isinstance(text, Annotation)]
    assert [text.get_text() for text in texts] == [row["label"] for row in rows]
    boxes = [text.get_window_extent(renderer) for text in texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_runs_without_history_or_dimensions_draw_empty(tmp_path: Path) -> None:
    write_run(tmp_path, failure="the loss became NaN", images=False, epochs=3)
    (tmp_path / "history.json").unlink()
    record = load_record(tmp_path)
    for name in ("learning_curves", "equalization", "frontier", "exponent", "images"):
        assert save_figure(FIGURES[name](record), tmp_path / f"{name}.svg").exists()


def test_thousand_dimensions_stay_small_on_disk(tmp_path: Path) -> None:
    write_run(tmp_path, "lambda-1.01", dims=1024, epochs=20, images=False)
    record = load_record(tmp_path)
    for name in ("equalization", "exponent"):
        assert save_figure(FIGURES[name](record), tmp_path / f"{name}.svg").stat().st_size < 500_000
