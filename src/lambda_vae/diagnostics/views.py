"""A report as notebooks, terminals and tables show it."""

from collections.abc import Sequence
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from torch import Tensor

from lambda_vae.diagnostics.dimension import Label, Verdict
from lambda_vae.diagnostics.grouping import Group, kind_groups, listed, sentence_groups
from lambda_vae.errors import InputError

if TYPE_CHECKING:
    from rich.console import Group as RichGroup

__all__ = ["VERDICT_COLORS", "Report", "as_frame", "as_html", "as_rich", "as_text", "names_of"]

VERDICT_COLORS = {
    Label.ACTIVE: "#0b5394",
    Label.UNDER_DISPERSED: "#a0408a",
    Label.COLLAPSED: "#e08a00",
    Label.NOT_MEASURED: "#808080",
}
"""Of the verdicts, in every picture."""

#: Attribute, heading and digits of the numbers that a compact table shows.
_COLUMNS = (
    ("kl", "KL", 2),
    ("std_mean", "σ", 3),
    ("signal_power", "signal", 3),
    ("snr_capacity", "capacity", 2),
    ("bound_gain", "worth", 2),
)


@runtime_checkable
class Report(Protocol):
    """What is shown of a `CollapseReport`."""

    @property
    def findings(self) -> Sequence[Verdict]:
        """One a dimension."""

    @property
    def verdict(self) -> str:
        """The outcome in one sentence."""

    @property
    def verdicts(self) -> list[Label]:
        """One a dimension."""

    @property
    def numbers(self) -> list[str]:
        """Of the whole model, a line each."""

    @property
    def caveats(self) -> list[str]:
        """What a reader must know of them."""

    def to_record(self) -> dict[str, Any]:
        """Return the measures as plain data."""


def as_text(report: Report) -> str:
    """Return verdict, numbers, notes and groups of dimensions, a line each."""
    groups = [f"  {group.name}: {group.text}" for group in sentence_groups(report.findings)]
    return "\n".join([report.verdict, *report.numbers, *report.caveats, *groups])


def as_html(report: Report) -> str:
    """Return a fragment for a notebook: no scripts, no styles but its own, no height to scroll through."""
    numeric = {heading for _, heading, _ in _COLUMNS}
    heads = "".join(f"<th style='{_NUMBERS if n in numeric else _CELL}'>{escape(n)}</th>" for n in _headings())
    rows = "".join(_html_row(report, group) for group in kind_groups(report.findings))
    lines = "".join(f"<div>{escape(line)}</div>" for line in report.numbers)
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.caveats)
    return (
        f"<div style='max-width:70em'><p style='margin:0 0 .5em'><b>{escape(report.verdict)}</b></p>{lines}"
        f"<table style='border-collapse:collapse;margin:.7em 0'><thead><tr>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table>{f'<ul>{notes}</ul>' if notes else ''}</div>"
    )


def as_rich(report: Report) -> "RichGroup":
    """Return what `rich.print` shows."""
    from rich import box
    from rich.console import Group as RichGroup
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    numeric = {heading for _, heading, _ in _COLUMNS}
    for name in _headings():
        number, least = name in numeric, 15 if name == "verdict" else None
        table.add_column(name, justify="right" if number else "left", no_wrap=number, min_width=least)
    for group in kind_groups(report.findings):
        kind = Text(group.kind, style=VERDICT_COLORS[group.findings[0].label])
        table.add_row(Text(listed(group.members)), kind, *map(Text, _spans(report, group)))
    lines = [Text(line) for line in report.numbers]
    return RichGroup(Text(report.verdict, style="bold"), *lines, table, *(Text(f"* {note}") for note in report.caveats))


def as_frame(report: Report) -> Any:  # noqa: ANN401 - a DataFrame, of a package that may be missing
    """Return a pandas DataFrame, one row a dimension: every measure, the verdict, the cause and the explanation.

    Raises:
        InputError: pandas is not installed.
    """
    try:
        pandas = import_module("pandas")
    except ImportError:
        raise InputError("to_frame needs pandas, which is not installed; run: pip install pandas") from None
    columns = {name: values for name, values in report.to_record()["dimensions"].items() if values is not None}
    columns["explanation"] = [finding.explanation for finding in report.findings]
    return pandas.DataFrame(columns, index=pandas.RangeIndex(len(report.findings), name="dimension"))


_CELL = "padding:.15em .7em .15em 0;text-align:left;vertical-align:top"
_NUMBERS = "padding:.15em .7em;text-align:right;white-space:nowrap;vertical-align:top"


def _headings() -> list[str]:
    return ["dimensions", "verdict", *(heading for _, heading, _ in _COLUMNS)]


def _html_row(report: Report, group: Group) -> str:
    color = VERDICT_COLORS[group.findings[0].label]
    cells = "".join(f"<td style='{_NUMBERS}'>{escape(text)}</td>" for text in _spans(report, group))
    return (
        f"<tr><td style='{_CELL}'>{escape(listed(group.members))}</td>"
        f"<td style='{_CELL}' title='{escape(group.text, quote=True)}'><span style='color:{color}'>&#9632;</span> "
        f"{escape(group.kind)}</td>{cells}</tr>"
    )


def _spans(report: Report, group: Group) -> list[str]:
    """The median of each number over a group, and its range where there is one."""
    return [_span(getattr(report, name)[list(group.members)], digits) for name, _, digits in _COLUMNS]


def _span(values: Tensor, digits: int) -> str:
    known = values[values.isfinite()]
    if not len(known):
        return "–"
    # Adding nought makes the sign of a rounded -0.000 go.
    middle, low, high = (
        f"{round(float(value), digits) + 0.0:.{digits}f}" for value in (known.median(), known.min(), known.max())
    )
    return (
        middle if low == high else f"{middle} ({low} to {high})" if low.startswith("-") else f"{middle} ({low}–{high})"
    )


def names_of(report: Report) -> Sequence[str]:
    """Return the names of the per-dimension measures that a report has numbers for."""
    known = report.to_record()["dimensions"]
    return [name for name, values in known.items() if values is not None and name not in ("verdict", "cause", "active")]
