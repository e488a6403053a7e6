"""What leaves the folder of a run: its figures, and a results page with all that makes it repeatable."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lambda_vae.errors import InputError
from lambda_vae.files import write_atomic, write_json
from lambda_vae.reports.columns import SURROGATE
from lambda_vae.reports.console import verdict_lines
from lambda_vae.reports.figures import (
    equalization_figure,
    exponent_figure,
    frontier_figure,
    image_figure,
    learning_curves,
)
from lambda_vae.reports.provenance import provenance_lines
from lambda_vae.reports.records import ComparisonRecord, RunRecord, load_record
from lambda_vae.reports.style import save_figure
from lambda_vae.reports.tables import comparison_table

__all__ = ["write_figures", "write_results"]


def write_figures(folder: Path) -> list[Path]:
    """Draw every figure of a run or a comparison into its `figures` folder, as SVG, and return their paths.

    Args:
        folder: With table.json or metrics.json.

    Raises:
        InputError: The folder holds no record, or a damaged one.
    """
    record = load_record(folder)
    firsts = list({run.label: run for run in reversed(record.runs)}.values())[::-1]
    figures = {"learning_curves": learning_curves(record.runs)} if record.runs else {}
    if any(run.track("std_mean").size for run in firsts):
        figures["equalization"] = equalization_figure(firsts)
        figures["exponents"] = exponent_figure(firsts)
    if len(record.rows) > 1:
        figures["frontier"] = frontier_figure(record.rows)
    for run in firsts:
        if run.images:
            figures[f"images-{run.path.name}" if len(record.rows) > 1 else "images"] = image_figure(run)
    return [save_figure(figure, folder / "figures" / f"{name}.svg") for name, figure in figures.items()]


def write_results(folder: Path, out: Path, reading_epochs: Sequence[int] = ()) -> Path:
    """Write a comparison as a results page, with its rows and its frontier beside it, and return the page's path.

    Args:
        folder: A comparison.
        out: The page, .md; NAME.csv, NAME.json and NAME-frontier.svg are written beside it.
        reading_epochs: Epochs during training whose readings on the test set are shown too.

    Raises:
        InputError: `out` does not end in .md, or the folder holds no comparison.
    """
    if out.suffix != ".md":
        raise InputError(f"{out} ends in {out.suffix!r}; results are written as .md")
    record = load_record(folder)
    table = comparison_table(record.rows, record.data)
    frontier = save_figure(frontier_figure(record.rows), out.with_name(f"{out.stem}-frontier.svg"))
    parts = [
        f"# {record.data or record.name}: {len(table.lines)} methods side by side",
        "\n".join(verdict_lines(record)),
        _repeat(record),
        "## At the end of training",
        table.to_markdown().strip(),
        f"![NLL bound against active units, with the frontier]({frontier.name})",
        *[part for epoch in reading_epochs for part in _reading(record, epoch)],
    ]
    write_atomic(out.with_suffix(".csv"), table.to_csv())
    write_json(out.with_suffix(".json"), {"rows": list(record.rows), "provenance": dict(record.provenance)})
    write_atomic(out, "\n\n".join(parts) + "\n")
    return out


def _repeat(record: ComparisonRecord) -> str:
    done = sum(row["status"] == "done" for row in record.rows)
    hours = sum(float(row.get("seconds") or 0.0) for row in record.rows) / 3600
    lines = [("runs", f"{done} of {len(record.rows)} finished"), ("training", f"{hours:.1f} core-hours")]
    facts = [*lines, *((label, text) for label, text in _provenance(record) if label != "command")]
    rows = "\n".join(f"| {label} | {text.replace('|', '/')} |" for label, text in facts)
    return f"```\n{record.provenance.get('command', '')}\n```\n\n| | |\n| --- | --- |\n{rows}"


def _provenance(record: ComparisonRecord) -> list[tuple[str, str]]:
    """The comparison's own provenance, with the commits its runs were really made by."""
    commits = {str(run.provenance["commit"]) for run in record.runs if run.provenance.get("commit")}
    lines = provenance_lines(record.provenance)
    return [(k, ", ".join(sorted(commits)) or v) if k == "commit" else (k, v) for k, v in lines]


def _reading(record: ComparisonRecord, epoch: int) -> list[str]:
    """The readings of one epoch, method by method, as a Markdown table; nothing where no run has any."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for run in record.runs:
        found = [reading for reading in _test(run) if reading["epoch"] == epoch]
        groups.setdefault(run.label, []).extend(found)
    rows = [
        f"| {label} | {len(found)} | {_spread(found, 'active_units', 1)} | {_spread(found, 'nll_bound', 2)} | "
        f"{_spread(found, 'surrogate_nll', 2)} |"
        for label, found in groups.items()
        if found
    ]
    if not rows:
        return []
    note = (
        "Readings during the same runs, one sample for each test example. A warm-up or a release is wherever it stands "
        "at that epoch of the whole training."
    )
    head = f"| method | runs | AU | NLL bound | {SURROGATE} |\n| --- | ---: | ---: | ---: | ---: |"
    return [f"## At epoch {epoch}", note, "\n".join([head, *rows])]


def _test(run: RunRecord) -> Sequence[dict[str, Any]]:
    return list(run.history.get("test") or [])


def _spread(found: Sequence[dict[str, Any]], key: str, digits: int) -> str:
    values = [float(reading[key]) for reading in found]
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.{digits}f}{spread}"
