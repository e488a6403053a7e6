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
from lambda_vae.records import ComparisonRecord, RunRow, load_comparison, load_record
from lambda_vae.reports import (
    equalization_figure,
    exponent_figure,
    frontier_figure,
    image_figure,
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
    save_figure(exponent_figure(record.runs), tmp_path / "x.svg")
    assert dict(mpl.rcParams) == before


def test_unknown_ending_is_refused(record: ComparisonRecord, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'\.gif'; use \.svg, \.pdf or \.png"):
        save_figure(exponent_figure(record.runs), tmp_path / "x.gif")


def test_hostile_label_does_not_start_mathematics(tmp_path: Path) -> None:
    folder = write_comparison(tmp_path / "c", ("vae", "lambda-1.01"), 1, epochs=4, label="$\\frac{ $ <b>")
    record = load_record(folder)
    for name in ("equalization", "frontier", "exponent", "images"):
        assert save_figure(FIGURES[name](record), tmp_path / f"{name}.svg").stat().st_size > 2000


def crowd(labels: bool) -> list[RunRow]:
    """Twenty methods of two seeds each, most of them close together."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(20):
        units, bound, probe = rng.integers(8, 24), 94 + rng.gamma(2, 2), rng.uniform(0.88, 0.95)
        for seed in range(2):
            noise = rng.normal(0, 0.3, 3)
            rows.append(RunRow(
                run=f"{i}-{seed}", method="vae", label=f"method number {i + 1} with a name", status="done",
                active_units=float(units + noise[0]), nll_bound=float(bound + noise[1]),
                nll_iw=float(bound - 4 + noise[2]),
                linear_probe_accuracy=float(probe + noise[0] / 100) if labels else None,
            ))  # fmt: skip
    return rows


@pytest.mark.parametrize("labels", [True, False])
def test_twenty_methods_stay_readable(labels: bool) -> None:
    figure = frontier_figure(crowd(labels))
    assert sum(axis.get_visible() for axis in figure.axes) == (4 if labels else 2)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    for axis in figure.axes:
        texts = [text for text in axis.texts if isinstance(text, Annotation)]
        assert [text.get_text() for text in texts] == [str(number) for number in range(1, 21)]
        boxes = [text.get_window_extent(renderer) for text in texts]
        shared = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.padded(-1).overlaps(b.padded(-1))]
        assert shared == []
    legend = figure.legends[0]
    words = [text.get_text().split(maxsplit=1) for text in legend.get_texts()]
    assert words == [[str(number), f"method number {number} with a name"] for number in range(1, 21)]
    whole, box = figure.bbox, legend.get_window_extent(renderer)
    assert whole.x0 <= box.x0 < box.x1 <= whole.x1
    assert whole.y0 <= box.y0 < box.y1 <= min(axis.get_window_extent(renderer).y0 for axis in figure.axes)


def test_what_lies_above_a_frontier_stands_over_it_and_in_the_legend() -> None:
    rows = crowd(True)
    rows[-2:] = [row.updated(nll_bound=224.0 + place, nll_iw=205.0) for place, row in enumerate(rows[-2:])]
    figure = frontier_figure(rows)
    assert [axis.get_title(loc="right") for axis in figure.axes] == ["above: 20 at 224"] * 2 + ["above: 20 at 205"] * 2
    assert all(axis.get_ylim()[1] < 150 for axis in figure.axes)
    assert figure.legends[0].get_texts()[-1].get_text().startswith("20 ")


def test_runs_without_history_or_dimensions_draw_empty(tmp_path: Path) -> None:
    write_run(tmp_path, failure="the loss became NaN", images=False, epochs=3)
    (tmp_path / "history.json").unlink()
    record = load_record(tmp_path)
    for name in ("equalization", "frontier", "exponent", "images"):
        assert save_figure(FIGURES[name](record), tmp_path / f"{name}.svg").exists()


def test_thousand_dimensions_stay_small_on_disk(tmp_path: Path) -> None:
    write_run(tmp_path, "lambda-1.01", dims=1024, epochs=20, images=False)
    record = load_record(tmp_path)
    for name in ("equalization", "exponent"):
        assert save_figure(FIGURES[name](record), tmp_path / f"{name}.svg").stat().st_size < 500_000
