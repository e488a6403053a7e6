"""What a report shows: groups of equal findings, its first sentence, notebooks, terminals, tables and figures."""

import io
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
from rich.console import Console

from lambda_vae.diagnostics.bars import bar_figure
from lambda_vae.diagnostics.dimension import Cause, Label, Verdict
from lambda_vae.diagnostics.grouping import grouped, listed, sentence_groups, spanned
from lambda_vae.diagnostics.headline import headline
from lambda_vae.diagnostics.views import VERDICT_COLORS
from lambda_vae.errors import InputError

ACTIVE = Verdict(Label.ACTIVE, None, "Active.")


@pytest.fixture(scope="module")
def report():
    torch.manual_seed(0)
    from diagnostics.test_diagnose import bernoulli_vae, pixels, run

    return run(bernoulli_vae(), pixels())


@pytest.fixture(scope="module")
def wide(report):
    """128 dimensions of every kind, no two with the same numbers."""
    kinds = [(Label.ACTIVE, None), (Label.OVER_SHARP, None), (Label.NOT_MEASURED, None)]
    kinds += [(Label.COLLAPSED, cause) for cause in Cause]
    findings = [
        Verdict(*kinds[i % len(kinds)], f"{kinds[i % len(kinds)]} number {i % 3}, S = {i / 1000:.3f}, g = {-i}.")
        for i in range(128)
    ]
    d = report.dimensions
    stretch = {
        name: replace(reading, value=reading.value[torch.arange(128) % 3], stderr=reading.stderr[torch.arange(128) % 3])
        for name, reading in vars(d).items()
        if hasattr(reading, "stderr") and reading.value.dim()
    }
    ratio = replace(d.gradient_ratio, ratio=replace(d.gradient_ratio.ratio, **{
        part: getattr(d.gradient_ratio.ratio, part)[torch.arange(128) % 3] for part in ("value", "stderr")
    }))  # fmt: skip
    more = {"exponent": torch.ones(128), "active": torch.ones(128, dtype=torch.bool), "gradient_ratio": ratio}
    return replace(report, dimensions=replace(d, **stretch, **more), findings=findings)


def test_numbers_of_a_group_are_given_as_ranges_and_what_is_the_same_once():
    texts = [
        f"S = {s}, at epoch {e} of 30, rho {r} (Eq. 3)." for s, e, r in (("0.5", 12, "-0.3"), ("0.25", 9, "1e-05"))
    ]
    assert spanned(texts) == "S = 0.25 to 0.5, at epoch 9 to 12 of 30, rho -0.3 to 1e-05 (Eq. 3)."
    assert spanned(["ratio nan, x2 2.", "ratio inf, x2 2.", "ratio 1.0, x2 2."]) == "ratio 1.0 to nan, x2 2."
    assert spanned(["as it is -0.00."]) == "as it is -0.00."
    assert spanned(["-0.00 of 1.", "0.04 of 2.", "0.00 of 1."]) == "0.00 to 0.04 of 1 to 2."
    assert spanned(["-0.00 of 1.", "0.00 of 2."]) == "0.00 of 1 to 2."


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([4], "4"),
        ([4, 5], "4, 5"),
        ([0, 3, 5, 6, 7, 8, 9], "0, 3, 5–9"),
        (range(128), "0–127"),
        (range(0, 128, 2), "0, 2, 4, 6, 8, 10, 12, 14, 16, 18 and 54 more"),
    ],
)
def test_dimensions_are_listed_with_their_runs(numbers, text):
    assert listed(numbers) == text


def test_groups_say_the_same_thing_of_all_their_members_and_leave_none_out():
    texts = ["carries 1.5 nats.", "carries 2.5 nats.", "is ignored, 3.0 nats.", "carries 0.5 nats."]
    findings = [Verdict(Label.COLLAPSED, Cause.GAP, "lost."), *(Verdict(Label.ACTIVE, None, text) for text in texts)]
    found = [(group.name, group.kind, group.text) for group in sentence_groups(findings)]
    assert found == [
        ("dimensions 1, 2, 4", "active", "carries 0.5 to 2.5 nats."),
        ("dimension 3", "active", "is ignored, 3.0 nats."),
        ("dimension 0", "collapsed, information gap", "lost."),
    ]


def test_too_many_sentences_become_one_for_each_verdict_and_cause():
    words = [chr(97 + i // 26) + chr(97 + i % 26) for i in range(100)]
    findings = [Verdict(Label.ACTIVE, None, f"{word} {i}.") for i, word in enumerate(words)]
    (group,) = sentence_groups([*findings, Verdict(Label.ACTIVE, None, "aa 700.")])
    assert group.members == tuple(range(101))
    assert group.text == "aa 0 to 700. (of 2 of them; the others alike)"
    assert len(grouped(findings, lambda finding: finding.explanation)) == 100


def test_a_wide_report_prints_in_forty_lines_verdict_first_then_numbers_notes_and_groups(wide):
    noted = replace(wide, notes=("Read this.",))
    lines = str(noted).splitlines()
    assert len(lines) <= 40
    marks = (wide.verdict, "nll_bound", "Read", "  dimension")
    places = [next(i for i, line in enumerate(lines) if line.startswith(mark)) for mark in marks]
    assert places[0] == 0
    assert places == sorted(places)
    assert sum(len(group.members) for group in sentence_groups(noted.findings)) == 128
    assert all(f"{group.name}: {group.text}" in str(noted) for group in sentence_groups(noted.findings))


# used, sigma, signal over noise, directions -> what the first sentence says, what the rest
HIDES = {
    "plain": (4, [0.3] * 4, [9.0] * 4, 4.0, "4 of 4 dimensions are in use.", ""),
    "near the prior": (
        4, [0.3, 0.95, 0.95, 0.95], [9.0, 0.1, 0.1, 0.1], 4.0,
        "4 of 4 dimensions are in use, but 3 of these hardly: their sigma is above 0.9, where the prior's is 1, and "
        "their signal is below it.", "",
    ),
    "all near it": (2, [0.95] * 2, [0.1] * 2, 2.0, "2 of 2 dimensions are in use, but all of these hardly: their", ""),
    "less than half": (4, [0.3, 0.3, 0.3, 0.95], [9.0, 9.0, 9.0, 0.1], 4.0, "4 of 4 dimensions are in use.", ""),
    "sigma of 1 under a wide code": (2, [1.0] * 2, [2500.0] * 2, 2.0, "2 of 2 dimensions are in use.", ""),
    "few directions": (
        4, [0.3] * 4, [9.0] * 4, 2.0,
        "4 of 4 dimensions are in use, but together they move along 2 directions only.", "",
    ),
    "fewer directions": (4, [0.3] * 4, [9.0] * 4, 3.0, "4 of 4 dimensions are in use.", "along 3 directions only"),
    "both": (
        4, [0.95] * 4, [0.1] * 4, 1.0,
        "4 of 4 dimensions are in use, but all of these hardly: their sigma is above 0.9, where the prior's is 1, and "
        "their signal is below it, and together they move along 1 directions only.", "",
    ),
    "directions unknown": (4, [0.3] * 4, [9.0] * 4, None, "4 of 4 dimensions are in use.", ""),
    "not finite": (2, [float("nan")] * 2, [float("nan")] * 2, float("nan"), "2 of 2 dimensions are in use.", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", HIDES)
def test_first_sentence_names_what_the_count_of_units_hides_by_half_or_more(case):
    used, std, to_noise, directions, first, second = HIDES[case]
    text, *rest = headline([ACTIVE] * used, torch.tensor(std), torch.tensor(to_noise), directions)
    assert text.startswith(first)
    assert second in " ".join(rest)
    assert bool(rest) == bool(second)


def test_one_dimension_is_not_called_all_of_these_and_a_site_that_carries_everything_hides_nothing():
    (text,) = headline([ACTIVE], torch.tensor([0.95]), torch.tensor([0.1]), 1.0)
    assert text.startswith(
        "1 of 1 dimensions is in use, but hardly: its sigma is above 0.9, where the prior's is 1, and its signal"
    )
    local = replace(ACTIVE, sites_in_use=1)
    (text,) = headline([local], torch.tensor([0.99]), torch.tensor([0.01]), None)
    assert text == "1 of 1 dimensions is in use."


def test_what_is_hidden_stands_between_the_dimensions_in_use_and_the_others():
    findings = [ACTIVE, replace(ACTIVE, label=Label.OVER_SHARP), Verdict(Label.COLLAPSED, Cause.NO_SIGNAL, "")]
    (text,) = headline(findings, torch.tensor([0.95, 0.95, 1.0]), torch.tensor([0.1, 0.1, 0.0]), 2.0)
    (plain,) = headline(findings, torch.tensor([0.2, 0.2, 1.0]), torch.tensor([9.0, 9.0, 0.0]), 2.0)
    first, others = plain.split("; ")
    assert text.startswith(f"{first}, but all of these hardly: ")
    assert text.endswith(f"; {others}")


def test_collapsed_dimensions_near_the_prior_are_no_news():
    findings = [ACTIVE, Verdict(Label.COLLAPSED, Cause.NO_SIGNAL, ""), Verdict(Label.COLLAPSED, Cause.NO_SIGNAL, "")]
    (text,) = headline(findings, torch.tensor([0.2, 1.0, 1.0]), torch.tensor([20.0, 0.0, 0.0]), 1.0)
    assert "hardly" not in text


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_notebooks_get_a_compact_table_without_scripts(wide):
    hostile = replace(wide, notes=("<script>alert(1)</script>",))
    page, parsed = hostile._repr_html_(), _Tags()
    parsed.feed(page)
    assert not parsed.open
    assert "script" not in parsed.tags
    assert {"table", "tr", "td"} <= set(parsed.tags)
    assert parsed.tags.count("tr") <= 26
    assert "under-dispersed" in page
    assert all(str(cause) in page for cause in Cause)
    assert all(color in page for color in VERDICT_COLORS.values())


def test_a_terminal_gets_a_table_whose_names_are_text(wide):
    out = io.StringIO()
    Console(file=out, width=110).print(replace(wide, notes=("[bold]not markup[/bold]",)))
    assert "[bold]not markup[/bold]" in out.getvalue()
    assert wide.verdict.split(";")[0] in out.getvalue()
    assert "under-dispersed" in out.getvalue()


def test_frame_has_a_row_a_dimension_and_every_measure(report):
    frame = report.to_frame()
    assert frame.index.name == "dimension"
    assert len(frame) == len(report.findings)
    assert frame["kl"].tolist() == pytest.approx(report.kl.tolist())
    assert frame["verdict"].tolist() == [str(label) for label in report.verdicts]
    assert frame["explanation"].tolist() == [finding.explanation for finding in report.findings]


def test_frame_without_pandas_says_what_to_install(report, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="pip install pandas"):
        report.to_frame()


@pytest.mark.parametrize("name", ["kl", "std_mean", "signal_power", "gradient_ratio", "capacity_lost"])
def test_plot_has_a_bar_a_dimension_in_the_colour_of_its_verdict(wide, name):
    figure = wide.plot(name)
    (axis,) = figure.axes
    heights = [bar.get_height() for bar in axis.patches]
    values = getattr(wide, name)
    assert sorted(heights) == pytest.approx(sorted(values.tolist()))
    assert heights == sorted(heights, reverse=True)
    seen = {plt.matplotlib.colors.to_hex(bar.get_facecolor()) for bar in axis.patches}
    assert seen == {VERDICT_COLORS[label] for label in Label}
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert not plt.get_fignums()  # nothing is left with pyplot, which would show it a second time


def test_plot_of_an_unknown_measure_names_those_there_are(report):
    with pytest.raises(InputError, match=r"no measure 'sigma'; it has kl, std_mean, .*signal_power"):
        report.plot("sigma")
    with pytest.raises(InputError, match="no measure 'verdict'"):
        bar_figure(report, "verdict")
    with pytest.raises(InputError, match="no measure 'snr_capacity_predicted'"):  # no lambda, nothing predicted
        report.plot("snr_capacity_predicted")


MEASURES = Path(__file__).parents[2] / "docs" / "measures.md"
OF_A_REPORT = ("Likelihoods", "Dimension by dimension", "The whole code", "Representation")


def documented() -> list[str]:
    sections = re.split(r"^## ", MEASURES.read_text("utf-8"), flags=re.MULTILINE)
    chosen = [text for text in sections if text.split("\n")[0] in OF_A_REPORT]
    assert len(chosen) == len(OF_A_REPORT)
    terms = [line for text in chosen for line in text.splitlines() if line.startswith("`")]
    return [name for line in terms for name in re.findall(r"`([a-z_]+)`", line)]


def test_page_of_measures_is_read():
    assert {"nll_bound", "nll_iw", "kl", "gradient_ratio_stderr", "near_prior", "knn_accuracy"} <= set(documented())


@pytest.mark.parametrize("name", documented())
def test_every_documented_measure_is_an_attribute_and_a_record(report, name):
    value, record = getattr(report, name), report.to_dict()
    plain = record[name] if name in record and not isinstance(value, torch.Tensor) else record["dimensions"].get(name)
    if isinstance(value, torch.Tensor):
        assert value.shape == (len(report.findings),)
        assert plain is None or plain == pytest.approx(value.tolist(), nan_ok=True)
    else:
        assert value == plain or value is None or value == pytest.approx(plain)
