"""The page opened in a real browser: silent console, no requests, controls that work, names that stay text."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser
from fake_records import HOSTILE, write_comparison, write_run

from lambda_vae.files import read_json, write_json
from lambda_vae.reports import write_report

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed, so the page cannot be opened"),
    pytest.mark.xdist_group("browser"),
]

READY = "document.documentElement.dataset.ready === 'true'"
ROWS = "[...document.querySelectorAll('#dim-table tbody tr')]"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def visit(browser: Browser, folder: Path) -> Browser:
    browser.complaints.clear()
    browser.requests.clear()
    browser.open(write_report(folder))
    browser.wait_for(READY)
    return browser


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_comparison(tmp_path_factory.mktemp("comparison"), seeds=2, epochs=8)


def quiet(browser: Browser) -> bool:
    assert browser.complaints == []
    assert len(browser.requests) == 1, browser.requests
    return True


def choose(browser: Browser, control: str, value: str, event: str = "change") -> None:
    browser.evaluate(
        f"(() => {{ const c = document.getElementById('{control}'); c.value = '{value}';"
        f" c.dispatchEvent(new Event('{event}')); }})()"
    )


def test_every_plot_is_drawn_in_silence(browser: Browser, comparison: Path) -> None:
    visit(browser, comparison)
    empty = browser.evaluate(
        "[...document.querySelectorAll('.plot')].filter(p => !p.hidden && !p.querySelector('.main-svg')).map(p => p.id)"
    )
    assert empty == []
    assert browser.evaluate("document.querySelectorAll('.plot .main-svg').length") >= 8
    assert browser.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert quiet(browser)


@pytest.mark.parametrize("width", [800, 1280])
def test_nothing_sticks_out_of_the_window(browser: Browser, comparison: Path, width: int) -> None:
    browser.resize(width, 900)
    try:
        visit(browser, comparison)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
    finally:
        browser.resize(1280, 900)


def test_slider_moves_the_histograms(browser: Browser, comparison: Path) -> None:
    visit(browser, comparison)
    state = "[document.getElementById('sigma-epoch').textContent, document.getElementById('plot-sigma-left').data[0].y]"
    last, before = browser.evaluate(state)
    choose(browser, "sigma-slider", "0", "input")
    first, after = browser.evaluate(state)
    assert (first, last) == ("1", "8")
    assert before != after
    assert sum(before) == sum(after) == 30
    choose(browser, "sigma-left", "2")
    assert "warm-up" in browser.evaluate("document.getElementById('plot-sigma-left').layout.title.text")
    assert quiet(browser)


def test_play_runs_through_the_epochs_and_stops(browser: Browser, comparison: Path) -> None:
    visit(browser, comparison)
    browser.click("#sigma-play")
    browser.wait_for("document.getElementById('sigma-slider').value !== '7'")
    browser.wait_for("document.getElementById('sigma-play').textContent === 'Play'")
    assert browser.evaluate("document.getElementById('sigma-epoch').textContent") == "8"


def test_table_sorts_by_any_column_both_ways(browser: Browser, comparison: Path) -> None:
    visit(browser, comparison)
    keys = browser.evaluate("[...document.querySelectorAll('#dim-table thead th')].map(t => t.dataset.key)")
    assert {"dimension", "kl", "std_mean", "exponent", "gradient_ratio", "verdict", "cause"} <= set(keys)
    for place, key in enumerate(keys):
        column = f"{ROWS}.map(r => r.cells[{place}].textContent)"
        header = f"#dim-table th[data-key={key}] button"
        orders = []
        for _ in range(2):
            browser.click(header)
            direction = browser.evaluate(f"document.querySelector('#dim-table th[data-key={key}]').ariaSort")
            values = browser.evaluate(column)
            if key not in ("verdict", "cause"):
                values = [float(value) for value in values]
            assert values == sorted(values, reverse=direction == "descending"), (key, direction)
            orders.append(direction)
        assert set(orders) == {"ascending", "descending"}
    assert quiet(browser)


def test_filters_narrow_table_and_plot_together(browser: Browser, comparison: Path) -> None:
    visit(browser, comparison)
    browser.click("#dim-verdicts input[value=active]")
    assert browser.evaluate(f"{ROWS}.length") == 23
    assert browser.evaluate("document.getElementById('dim-count').textContent") == "23 of 30 dimensions"
    assert browser.evaluate("document.getElementById('plot-dims').data.reduce((n, t) => n + t.y.length, 0)") == 23
    choose(browser, "dim-cause", "information gap")
    causes = browser.evaluate(f"{ROWS}.map(r => r.lastElementChild.textContent)")
    assert causes
    assert set(causes) == {"information gap"}
    swatch = browser.evaluate(f"getComputedStyle({ROWS}[0].lastElementChild.querySelector('.swatch')).backgroundColor")
    assert swatch == "rgb(200, 69, 47)"
    names = browser.evaluate("document.querySelector('#plot-dims').data.map(t => t.name)")
    assert "collapsed, information gap" in names
    listed = browser.evaluate("[...document.querySelectorAll('.causes b')].map(b => b.textContent)")
    assert listed == ["gradient imbalance", "information gap", "no signal"]
    choose(browser, "dim-cause", "")
    choose(browser, "dim-find", "29", "input")
    assert browser.evaluate(f"{ROWS}.map(r => r.cells[0].textContent)") == ["29"]
    assert quiet(browser)


def test_click_on_a_dimension_shows_how_it_got_there(browser: Browser, comparison: Path) -> None:
    visit(browser, comparison)
    assert browser.evaluate("document.getElementById('plot-track').hidden")
    browser.click("#dim-table tbody tr:nth-child(2) td")
    browser.wait_for("!!document.querySelector('#plot-track .main-svg')")
    chosen = browser.evaluate("document.querySelector('#dim-table tr.chosen').cells[0].textContent")
    assert f"dimension {chosen} of VAE" in browser.evaluate("document.getElementById('plot-track').layout.title.text")
    final = browser.evaluate("document.getElementById('plot-track').data[0].y.at(-1)")
    shown = browser.evaluate("Number(document.querySelector('#dim-table tr.chosen').cells[2].textContent)")
    assert final == pytest.approx(shown, abs=1e-3)
    assert quiet(browser)


def test_axes_and_run_can_be_changed(browser: Browser, comparison: Path) -> None:
    visit(browser, comparison)
    choose(browser, "dim-run", "4")
    choose(browser, "dim-x", "std_mean")
    choose(browser, "dim-y", "exponent")
    names = browser.evaluate("document.getElementById('plot-dims').data.map(t => t.name)")
    assert names[0] == "Eq. 16 at δ = 1.01"
    assert quiet(browser)


def test_thousand_dimensions_are_sorted_and_filtered(browser: Browser, tmp_path: Path) -> None:
    folder = write_comparison(tmp_path, ("vae", "lambda-1.01"), 1, 1024, 12, images=False)
    visit(browser, folder)
    assert browser.evaluate(f"{ROWS}.length") == 1024
    browser.click("#dim-table th[data-key=std_mean] button")
    values = browser.evaluate(f"{ROWS}.map(r => Number(r.cells[2].textContent))")
    assert values == sorted(values, reverse=True)
    browser.click("#dim-verdicts input[value=collapsed]")
    assert 0 < browser.evaluate(f"{ROWS}.length") < 1024
    assert quiet(browser)


def test_hostile_names_stay_text(browser: Browser, tmp_path: Path) -> None:
    folder = write_comparison(
        tmp_path / "c", ("vae", "lambda-1.01"), 2, epochs=4, label=HOSTILE, data=HOSTILE, failed=HOSTILE
    )
    visit(browser, folder)
    choose(browser, "dim-run", "2")
    browser.click("#dim-table tbody tr:nth-child(1) td")
    assert browser.evaluate("[...document.querySelectorAll('img')].every(i => i.src.startsWith('data:image/png'))")
    assert browser.evaluate("document.querySelector('#dim-run').selectedOptions[0].textContent") == f"{HOSTILE}, seed 0"
    assert HOSTILE in browser.evaluate("document.querySelector('#plot-std .legend').textContent")
    assert HOSTILE in browser.evaluate("document.querySelector('#frontier-legend').textContent")
    assert HOSTILE in browser.evaluate("document.querySelector('#advice').textContent")
    assert HOSTILE in browser.evaluate("document.querySelector('#plot-track .gtitle').textContent")
    assert quiet(browser)


def test_policy_stops_what_escaping_would_miss(browser: Browser, tmp_path: Path) -> None:
    write_run(tmp_path, epochs=4)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    injected = page.replace("<main>", "<main><img src=x onerror=\"document.title='taken'\">", 1)
    (tmp_path / "injected.html").write_text(injected, encoding="utf-8")
    browser.open(tmp_path / "injected.html")
    browser.wait_for(READY)
    assert browser.evaluate("document.title") != "taken"
    assert any("Content Security Policy" in complaint for complaint in browser.complaints)


@pytest.mark.parametrize("missing", ["history.json", "images.npz"])
def test_page_without_an_optional_part_is_silent(browser: Browser, tmp_path: Path, missing: str) -> None:
    write_run(tmp_path, epochs=4)
    (tmp_path / missing).unlink()
    visit(browser, tmp_path)
    assert quiet(browser)


def test_page_of_failures_is_silent(browser: Browser, tmp_path: Path) -> None:
    write_run(tmp_path, failure="the loss became NaN", epochs=4)
    (tmp_path / "history.json").unlink()
    visit(browser, tmp_path)
    assert browser.evaluate("document.getElementById('dimensions').hidden")
    assert quiet(browser)


def test_colour_schemes_repaint_the_plots(browser: Browser, comparison: Path) -> None:
    browser.scheme("light")
    visit(browser, comparison)
    colour = "document.getElementById('plot-std').layout.font.color"
    light = browser.evaluate(colour)
    browser.scheme("dark")
    browser.wait_for(f"{colour} !== '{light}'")
    browser.scheme("light")
    assert quiet(browser)


def test_twenty_methods_are_numbered_and_named(browser: Browser, tmp_path: Path) -> None:
    folder = write_comparison(tmp_path, ("vae",), seeds=1, epochs=4, images=False)
    row = read_json(folder / "table.json")[0]
    many = [
        row | {"run": f"r{i}", "path": f"runs/r{i}", "label": f"method {i + 1}", "active_units": 5 + i % 7,
               "nll_bound": 95 + (i * 7 % 11) / 2, "nll_iw": 91 + (i * 5 % 13) / 2}
        for i in range(20)
    ]  # fmt: skip
    write_json(folder / "table.json", many)
    visit(browser, folder)
    assert browser.evaluate("document.querySelectorAll('#frontiers .plot .main-svg').length") >= 4
    for panel in range(4):
        texts = browser.evaluate(f"document.getElementById('plot-frontier-{panel}').data.slice(1).map(t => t.text[0])")
        assert texts == [str(number) for number in range(1, 21)]
    legend = browser.evaluate("[...document.querySelectorAll('#frontier-legend li')].map(l => l.textContent)")
    assert [line.split(maxsplit=1)[1] for line in legend] == [f"{number} method {number}" for number in range(1, 21)]
    assert quiet(browser)


def test_a_method_far_above_the_frontiers_is_named_over_them(browser: Browser, tmp_path: Path) -> None:
    folder = write_comparison(tmp_path, ("vae",), seeds=1, epochs=4, images=False)
    row = read_json(folder / "table.json")[0]
    bounds = (92.0, 93.0, 94.0, 95.0, 96.0, 97.0, 98.0, 99.0, 104.0, 224.3)
    rows = [row | {"run": f"r{i}", "path": f"runs/r{i}", "label": f"method {i + 1}"} for i in range(len(bounds))]
    write_json(folder / "table.json", [row | {"nll_bound": bound} for row, bound in zip(rows, bounds, strict=True)])
    visit(browser, folder)
    plot = "document.getElementById('plot-frontier-0')"
    assert browser.evaluate(f"{plot}.layout.annotations[0].text") == "above: 10 at 224"
    assert browser.evaluate(f"{plot}.data.length") == 10  # the frontier and nine points
    assert browser.evaluate("document.querySelectorAll('#frontier-legend li').length") == 10
    assert quiet(browser)


def test_a_plot_can_be_saved_as_svg(browser: Browser, comparison: Path) -> None:
    visit(browser, comparison)
    buttons = "[...document.querySelectorAll('#plot-train .modebar-btn')].map(b => b.dataset.attr || b.dataset.title)"
    assert len(browser.evaluate(buttons)) == 1
    assert browser.evaluate("document.getElementById('plot-train')._context.toImageButtonOptions") == {
        "format": "svg", "filename": "train", "width": 720, "height": 360,
    }  # fmt: skip
    browser.evaluate(
        "Plotly.toImage('plot-train', {format: 'svg', width: 720, height: 360}).then(uri => { window.saved = uri; })"
    )
    browser.wait_for("!!window.saved")
    assert browser.evaluate("window.saved").startswith("data:image/svg+xml")
    assert quiet(browser)
