"""Whatever the diagnosis can say of a dimension has its words, its colour and its mark on the page."""

from importlib.resources import files

import pytest

from lambda_vae.diagnostics.dimension import Cause, Label
from lambda_vae.records import RunRow
from lambda_vae.reports.causes import CAUSE_COLORS, CAUSES, because, cause_counts, causes_of


def template(name: str) -> str:
    return (files("lambda_vae.reports") / "templates" / name).read_text("utf-8")


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_a_meaning_a_colour_of_its_own(cause: Cause) -> None:
    assert CAUSES[str(cause)]
    assert list(CAUSE_COLORS.values()).count(CAUSE_COLORS[str(cause)]) == 1


@pytest.mark.parametrize("label", Label)
def test_every_verdict_has_its_mark_and_its_colour_light_and_dark(label: Label) -> None:
    verdicts = next(line for line in template("plots.js").splitlines() if line.startswith("const VERDICTS = "))
    assert f'"{label}"' in verdicts or f" {label}:" in verdicts
    name = str(label).replace(" ", "-")
    assert template("report.css").count(f"--{name}: #") == 2
    assert f".mark.{name} " in template("report.css")


def test_causes_that_occur_are_listed_in_one_order_and_unknown_ones_as_they_are() -> None:
    found = causes_of(["no signal", None, "newer", "gradient imbalance", "no signal"])
    assert [cause["name"] for cause in found] == ["gradient imbalance", "no signal", "newer"]
    assert found[2] == {"name": "newer", "color": CAUSE_COLORS["gradient imbalance"], "meaning": ""}
    assert causes_of([None]) == []


def test_counts_are_means_over_the_runs_that_say_and_the_most_frequent_first() -> None:
    silent = RunRow(run="a", label="VAE", method="vae", status="done")
    said = [silent.updated(cause_counts=counts) for counts in ({"no signal": 1, "newer": 4}, {"no signal": 2})]
    assert cause_counts([*said, silent]) == {"newer": 2.0, "no signal": 1.5}
    assert cause_counts([silent]) == {}
    assert because({}) == ""
    assert because({"undetermined": 2.0}) == ", for causes that the measurements do not tell (undetermined)"
    assert because({"no signal": 1.5}) == f", all because {CAUSES['no signal']} (no signal)"
