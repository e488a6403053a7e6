"""The HTML page of a run or a comparison: one file that needs neither network nor server."""

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from lambda_vae.files import write_atomic
from lambda_vae.records.read import ComparisonRecord, RunRecord, load_record
from lambda_vae.records.run_row import RunRow
from lambda_vae.reports.causes import CAUSES
from lambda_vae.reports.conclusions import advice, verdict_lines
from lambda_vae.reports.images import png_data_uri, sheets
from lambda_vae.reports.measured import examples_word, measured_note
from lambda_vae.reports.page_data import page_data
from lambda_vae.reports.provenance import provenance_lines
from lambda_vae.reports.tables import comparison_table

__all__ = ["embedded_json", "write_page", "write_report"]


def write_report(folder: Path | str, out: Path | str | None = None) -> Path:
    """Write the page for the run or comparison in `folder` and return where it lies.

    Args:
        folder: A folder with table.json or metrics.json.
        out: Where the page goes; `folder`/report.html if not given.

    Returns:
        The path written.

    Raises:
        InputError: The folder holds no record, or a damaged one.
    """
    record = load_record(Path(folder))
    path = Path(out) if out is not None else Path(folder) / "report.html"
    write_atomic(path, render(record))
    return path


def write_page(measured: Mapping[str, Any], path: Path) -> Path:
    """Write the page of one model that was measured but not trained here, and return where it lies.

    Args:
        measured: The content of metrics.json; `caveats` are shown under the verdict.
        path: Where the page goes.
    """
    row = RunRow.from_record(measured, path).as_measured_today(measured["dimensions"])
    run = RunRecord(path.parent, row, measured["dimensions"])
    write_atomic(path, render(ComparisonRecord(path.parent, (row,), (run,))))
    return path


def render(record: ComparisonRecord) -> str:
    """Return the page as text."""
    table = comparison_table(record.rows, record.data)
    drawn, single = page_data(record, table), len(record.rows) == 1
    caveats = record.rows[0].caveats or [] if single else []
    # Loading plotly takes longer than all else in this package, and whoever only wants a table need not wait for it.
    from plotly.offline import get_plotlyjs

    parts = "\n".join(_source(name) for name in ("plots.js", "dimensions.js", "start.js"))
    script, plotly = f'"use strict";\n(() => {{\n{parts}}})();\n', get_plotlyjs()
    style = _source("report.css")
    return _environment().get_template("report.html.jinja").render(
        title=_title(record),
        verdict=(*verdict_lines(record), *caveats),
        advice=() if single else advice(record.rows),
        facts=_facts(record),
        examples=examples_word(record.rows),
        table=table,
        meanings=CAUSES,
        causes=drawn["causes"],
        galleries=_galleries(record),
        texts=_first_seeds(record, "texts"),
        provenance=provenance_lines(record.provenance),
        config=record.config,
        single=single,
        data=embedded_json(drawn),
        policy=f"{_fingerprint(plotly)} {_fingerprint(script)}",
        plotly=Markup(plotly),
        script=Markup(script),
        style=Markup(style),
    )  # fmt: skip


def embedded_json(value: Any) -> Markup:  # noqa: ANN401 - any JSON value
    r"""Return `value` as JSON that may stand inside a script element: no character in it can end the element.

    Args:
        value: Dicts, lists, strings, finite numbers, booleans, None.

    Example:
        >>> print(embedded_json("</script>"))
        "\u003c/script\u003e"
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(_source), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _source(name: str) -> str:
    return (files("lambda_vae.reports") / "templates" / name).read_text("utf-8")


def _fingerprint(script: str) -> str:
    """The page's policy lets only scripts with these fingerprints run, whatever else may have got into it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _title(record: ComparisonRecord) -> str:
    what = record.rows[0].label if len(record.rows) == 1 else record.name
    return f"{what} on {record.data}" if record.data else what


def _facts(record: ComparisonRecord) -> list[tuple[str, str]]:
    row = record.rows[0]
    if row.epochs is None and row.examples is not None:
        return [("latent dimensions", str(row.latent_dim)), ("examples", str(row.examples))]
    facts = [("data", record.data or "not recorded"), ("latent dimensions", _told(row.latent_dim))]
    facts.append(("epochs", _told(row.epochs)))
    if len(record.rows) > 1:
        facts.append(("methods", str(len({row.label for row in record.rows}))))
        facts.append(("seeds", str(len({row.seed for row in record.rows}))))
    else:
        facts.append(("seed", _told(row.seed)))
    facts += [("measured on", f"{examples_word(record.rows)} split")] if measured_note(record.rows) else []
    return facts


def _told(count: int | None) -> str:
    return "?" if count is None else str(count)


def _galleries(record: ComparisonRecord) -> list[dict[str, Any]]:
    """Images of the first run of each method that has any: more seeds would swell the page and add little."""
    shown = _first_seeds(record, "images")
    return [{"label": run.label, "seed": run.row.seed, "pictures": _pictures(run)} for run in shown]


def _first_seeds(record: ComparisonRecord, what: str) -> list[RunRecord]:
    """The first run of each method that has images, or texts."""
    shown: dict[str, RunRecord] = {}
    for run in record.runs:
        if getattr(run, what):
            shown.setdefault(run.label, run)
    return list(shown.values())


def _pictures(run: RunRecord) -> list[dict[str, str]]:
    values, dims = (list(run.images.get(name, [])) for name in ("traversal_values", "traversal_dims"))
    span = f" from {values[0]:g} to {values[-1]:g}" if values else ""
    titles = {
        "reconstructions": f"{examples_word([run.row]).capitalize()} images (top) and their reconstructions (below)",
        "traversals": f"One dimension moved{span}, the others held; rows are dimensions {', '.join(map(str, dims))}",
        "prior_samples": "Samples from the prior",
    }
    return [{"title": titles[name], "uri": png_data_uri(sheet)} for name, sheet in sheets(run.images, 8).items()]
