"""Measurements of several finished runs on one results page: whether they may stand there, and how each was made."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lambda_vae.errors import InputError
from lambda_vae.files import write_atomic, write_json
from lambda_vae.reports.provenance import provenance_lines

__all__ = ["how_made", "write_results"]

Record = Mapping[str, Any]


def write_results(records: Sequence[Record], page: str, out: Path) -> Path:
    """Write a page, and beside it NAME.json, the records without the numbers of every example; return its path.

    Args:
        records: One a run, with `run`, `settings` and `provenance`; all measured alike.
        page: The Markdown.
        out: Where to, .md.

    Raises:
        InputError: Another ending, or settings that differ.
    """
    if out.suffix != ".md":
        raise InputError(f"{out} ends in {out.suffix!r}; results are written as .md")
    first = records[0]["settings"]
    for record in records[1:]:
        for name, value in record["settings"].items():
            if name != "model" and value != first[name]:
                raise InputError(
                    f"{record['run']} was measured with {name} {value!r}, {records[0]['run']} with {first[name]!r}; "
                    "measure both alike to put them side by side"
                )
    write_json(out.with_suffix(".json"), [{k: v for k, v in record.items() if k != "columns"} for record in records])
    write_atomic(out, page)
    return out


def how_made(records: Sequence[Record]) -> str:
    """Return the last section of such a page: command, commit, versions and time of every run.

    Args:
        records: As for `write_results`.
    """
    return "\n\n".join(["## How it was made", *map(_made, records)])


def _made(record: Record) -> str:
    kept = ("command", "commit", "versions", "machine", "time")
    lines = [f"- {label}: {text}" for label, text in provenance_lines(record["provenance"]) if label in kept]
    return "\n".join([f"{record['run']}:", "", *lines])
