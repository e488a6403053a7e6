"""What leaves the folder of a run: its figures, and a results page with all that makes it repeatable."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lambda_vae.errors import InputError
from lambda_vae.files import write_atomic
from lambda_vae.records.columns import SURROGATE
from lambda_vae.records.export import archive
from lambda_vae.records.read import ComparisonRecord, load_record
from lambda_vae.records.run_row import RunRow
from lambda_vae.reports.conclusions import advice, verdict
from lambda_vae.reports.differences import UNSTATED, differences
from lambda_vae.reports.figures import (
    equalization_figure,
    exponent_figure,
    frontier_figure,
    image_figure,
)
from lambda_vae.reports.markdown import markdown_table
from lambda_vae.reports.provenance import provenance_lines
from lambda_vae.reports.style import save_figure
from lambda_vae.reports.tables import Table, comparison_table

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
    figures = {}
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
    """Write a comparison as a results page, with its rows and its frontiers next to it, and return the page's path.

    Args:
        folder: A comparison.
        out: The page, .md; next to it come NAME.csv, NAME.tex, a frontier for each block of the table, and NAME.json:
            the records of all runs, for `reproduce --known`.
        reading_epochs: Epochs during training whose readings are shown too.

    Raises:
        InputError: `out` does not end in .md, or the folder holds no comparison.
    """
    if out.suffix != ".md":
        raise InputError(f"{out} ends in {out.suffix!r}; results are written as .md")
    record = load_record(folder)
    blocks = _blocks(record)
    tables = {name: comparison_table(rows, record.data) for name, rows in blocks.items()}
    labels = [line.label for table in tables.values() for line in table.lines]
    what = f"{len(labels)} methods compared" if len(labels) > 1 else labels[0]
    title = record.provenance.get("title") or f"{record.data or record.name}: {what}"
    parts = [f"# {title}", *_notes(record), _repeat(record)]
    for name, rows in blocks.items():
        parts += _block(name, rows, record.data, out)
    parts += [part for epoch in reading_epochs for part in _reading(record, epoch)]
    write_atomic(out.with_suffix(".csv"), _joined_csv(tables))
    write_atomic(out.with_suffix(".tex"), "\n".join(f"% {name or title}\n{t.to_latex()}" for name, t in tables.items()))
    write_atomic(out.with_suffix(".json"), archive(record))
    write_atomic(out, "\n\n".join(parts) + "\n")
    return out


def _blocks(record: ComparisonRecord) -> dict[str, list[RunRow]]:
    """The rows by the block of the table that they belong to; one without a name where there are no blocks.

    Within a block, which all share, a method goes by its plain title.
    """
    blocks: dict[str, list[RunRow]] = {}
    for row in record.rows:
        named = replace(row, label=row.title) if row.block and row.title else row
        blocks.setdefault(row.block or "", []).append(named)
    return blocks


def _notes(record: ComparisonRecord) -> list[str]:
    notes = [str(note) for note in record.provenance.get("notes") or ()]
    return ["\n".join(f"> {note}" for note in notes)] if notes else []


def _block(name: str, rows: Sequence[RunRow], data: str, out: Path) -> list[str]:
    """One part of the table, as sections of the page."""
    table = comparison_table(rows, data)
    ending = f"-{name.replace(' ', '-')}" if name else ""
    frontier = save_figure(frontier_figure(rows), out.with_name(f"{out.stem}-frontier{ending}.svg"))
    said = list(dict.fromkeys(f"- {row.title}: {row.note}" for row in rows if row.note))
    apart = differences(rows, data)
    with_paper = any(line.published("surrogate_nll") is not None for line in table.lines if line.runs)
    return [
        f"## {name or 'At the end of training'}",
        "\n".join(verdict(rows)),
        table.to_markdown().strip(),
        *(["\n".join(said)] if said else []),
        f"![NLL bound and importance-weighted NLL against active units and probe accuracy]({frontier.name})",
        "\n".join(["## Which method to choose", "", *(f"- {sentence}" for sentence in advice(rows))]),
        *(["### Compared with published figures", "\n".join(f"- {text}" for text in apart)] if apart else []),
        *([UNSTATED] if apart and with_paper else []),
    ]


def _joined_csv(tables: Mapping[str, Table]) -> str:
    """All blocks as one file; where there are several, the block comes first in each line."""
    if list(tables) == [""]:
        return tables[""].to_csv()
    texts = {name: table.to_csv().splitlines() for name, table in tables.items()}
    head = [f"block,{lines[0]}" for lines in texts.values()][:1]
    body = [f"{name},{line}" for name, lines in texts.items() for line in lines[1:]]
    return "\n".join([*head, *body]) + "\n"


def _repeat(record: ComparisonRecord) -> str:
    done = sum(row.done for row in record.rows)
    hours = sum(row.seconds or 0.0 for row in record.rows) / 3600
    lines = [("runs", f"{done} of {len(record.rows)} finished"), ("training", f"{hours:.1f} core-hours")]
    facts = [*lines, *((label, text) for label, text in _provenance(record) if label != "command")]
    rows = "\n".join(f"| {label} | {text.replace('|', '/')} |" for label, text in facts)
    return f"```\n{record.provenance.get('command', '')}\n```\n\n| | |\n| --- | --- |\n{rows}"


def _provenance(record: ComparisonRecord) -> list[tuple[str, str]]:
    """The comparison's own provenance, with the commits its runs were really made by."""
    commits = Counter(_commit(run.provenance) for run in record.runs if run.provenance.get("commit"))
    made = ", ".join(commits) if len(commits) == 1 else ", ".join(f"{c} ({n} runs)" for c, n in commits.most_common())
    lines = provenance_lines(record.provenance)
    return [(k, made or v) if k == "commit" else (k, v) for k, v in lines]


def _commit(provenance: Mapping[str, Any]) -> str:
    return f"{provenance['commit']}{' with uncommitted changes' if provenance.get('dirty') else ''}"


def _reading(record: ComparisonRecord, epoch: int) -> list[str]:
    """The readings of one epoch, method by method, as a Markdown table; nothing where no run has any."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for run in record.runs:
        found = [reading for reading in run.history.get("test") or () if reading["epoch"] == epoch]
        groups.setdefault(run.label, []).extend(found)
    rows = [
        [label, str(len(found)), *(_spread(found, key, digits) for key, digits in _READ.items())]
        for label, found in groups.items()
        if found
    ]
    note = (
        "Measured during the same runs, with one sample for each test example. A warm-up or a release is as far as it "
        "has come at that epoch of the whole training."
    )
    head = ["method", "runs", "AU", "NLL bound", SURROGATE]
    return [f"## At epoch {epoch}", note, markdown_table(head, rows, numbers=True)] if rows else []


#: What is read during training, and digits.
_READ = {"active_units": 1, "nll_bound": 2, "surrogate_nll": 2}


def _spread(found: Sequence[dict[str, Any]], key: str, digits: int) -> str:
    values = [float(reading[key]) for reading in found]
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.{digits}f}{spread}"
