"""The page of a model that was not trained here, opened in a real browser."""

import pytest
from planted import Planted
from reports.browser import CHROMIUM, Browser
from reports.fake_records import HOSTILE

from lambda_vae.any_vae import diagnose

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module")
def report():
    model = Planted(["healthy", "sharp", "dead", "prior"], examples=200)
    return diagnose(model.encode, model.log_likelihood, model.x, iw_samples=1)


def test_names_are_text_and_nothing_is_fetched(report, tmp_path):
    text = report.to_html(tmp_path / "page.html", title=HOSTILE).read_text()
    assert HOSTILE not in text
    assert "&lt;/script&gt;" in text
    assert "http://" not in text.split("<script", 1)[0]
    assert all(sentence in text for sentence in report.caveats)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed, so the page cannot be opened")
def test_page_shows_every_dimension_in_silence(report, tmp_path):
    path = report.to_html(str(tmp_path / "page.html"), title=HOSTILE)
    with Browser(tmp_path / "profile") as browser:
        browser.open(path)
        browser.wait_for("document.documentElement.dataset.ready === 'true'")
        rows = browser.evaluate("[...document.querySelectorAll('#dim-table tbody tr')].map(r => r.textContent)")
        assert len(rows) == 4
        assert sum("collapsed" in row for row in rows) == 2
        assert browser.evaluate("document.querySelector('h1').textContent") == HOSTILE
        assert browser.evaluate("document.querySelectorAll('header dd').length") == 2
        assert browser.complaints == []
        assert len(browser.requests) == 1
