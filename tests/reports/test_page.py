import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fake_records import HOSTILE, write_comparison, write_run

from lambda_vae.errors import InputError
from lambda_vae.records import load_record
from lambda_vae.reports import write_report
from lambda_vae.reports.causes import CAUSES
from lambda_vae.reports.page import embedded_json


class Reader(HTMLParser):
    """Elements with their attributes, and the visible text, scripts and styles left out."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.data, self._within = "", "", ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._within = "data" if dict(attrs).get("id") == "report-data" else tag

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within == "data":
            self.data += data
        elif not self._within:
            self.text += data


def read(folder: Path) -> Reader:
    return Reader(write_report(folder).read_text(encoding="utf-8"))


def test_page_asks_the_network_for_nothing(tmp_path: Path) -> None:
    page = read(write_comparison(tmp_path, seeds=1, epochs=4))
    addresses = [
        value for _, found in page.elements for key, value in found.items() if key in ("src", "href", "srcset")
    ]
    assert addresses
    assert all(address is not None and address.startswith(("data:", "#")) for address in addresses)
    policy = next(found["content"] for tag, found in page.elements if tag == "meta" and "http-equiv" in found)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]


def test_page_says_what_the_table_says(tmp_path: Path) -> None:
    page = read(write_comparison(tmp_path, seeds=2, epochs=100))
    for expected in (
        "The plain VAE uses 7.5 of 30 latent dimensions", "not a bound", "λ-VAE δ=1.01", "78.43", "97.17",
        "0123456789abcdef0123456789abcdef01234567", "lambda-vae compare", "ab" * 32, "torch 2.13.0", "4 min",
        "Under-dispersed", "Information gap",
        f"information gap: {CAUSES['information gap']}; ", "Which method to choose",
        "Best representation: λ-VAE δ=1.01.",
    ):  # fmt: skip
        assert expected in page.text, expected


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    folder = write_comparison(
        tmp_path / HOSTILE.replace("/", "|"), ("vae", "lambda-1.01"), 2, epochs=4, label=HOSTILE, data=HOSTILE,
        failed=f"NaN {HOSTILE}",
    )  # fmt: skip
    provenance = json.loads((folder / "provenance.json").read_text())
    provenance["command"] = provenance["commit"] = provenance["machine"]["cpu"] = HOSTILE
    (folder / "provenance.json").write_text(json.dumps(provenance))
    (folder / "config.yaml").write_text(HOSTILE)
    page = read(folder)
    assert page.text.count(HOSTILE) >= 8
    images = [found for tag, found in page.elements if tag == "img"]
    assert all(found.get("src", "").startswith("data:image/png") for found in images)  # type: ignore[union-attr]
    assert not any(key.startswith("on") for _, found in page.elements for key in found)
    assert sum(tag == "script" for tag, _ in page.elements) == 3
    assert json.loads(page.data)["labels"] == ["VAE", HOSTILE]


def test_embedded_json_cannot_end_its_element() -> None:
    value = {"<!--": "</script>&\u2028\u2029", "n": [1, None, 0.5]}
    text = str(embedded_json(value))
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value


def test_embedded_json_refuses_nan() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        embedded_json(float("nan"))


def test_page_is_the_same_every_time(tmp_path: Path) -> None:
    folder = write_comparison(tmp_path / "c", ("vae",), seeds=1, epochs=4)
    assert (
        write_report(folder, tmp_path / "1.html").read_bytes() == write_report(folder, tmp_path / "2.html").read_bytes()
    )


def test_library_is_embedded_once(tmp_path: Path) -> None:
    write_run(tmp_path, epochs=4)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert len(re.findall(r"plotly\.js v\d", page)) == 1
    assert len(page) < 6_000_000


@pytest.mark.parametrize("missing", ["history.json", "images.npz", "provenance.json", "config.yaml"])
def test_page_without_an_optional_part(tmp_path: Path, missing: str) -> None:
    write_run(tmp_path, epochs=4)
    (tmp_path / missing).unlink()
    assert "7 of 30 latent dimensions are in use." in read(tmp_path).text


def test_page_of_failures_gives_the_reason(tmp_path: Path) -> None:
    write_run(tmp_path, failure="the loss became NaN at step 12", epochs=4)
    assert "the loss became NaN at step 12" in read(tmp_path).text


def test_damaged_record_leaves_the_old_page(tmp_path: Path) -> None:
    write_run(tmp_path, epochs=4)
    old = write_report(tmp_path).read_bytes()
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        write_report(tmp_path)
    assert (tmp_path / "report.html").read_bytes() == old


def test_nothing_but_the_page_is_written(tmp_path: Path) -> None:
    folder = write_comparison(tmp_path / "c", ("vae",), seeds=1, epochs=4)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    write_report(folder)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} - before == {folder / "report.html"}
    assert load_record(folder).name == "c"
