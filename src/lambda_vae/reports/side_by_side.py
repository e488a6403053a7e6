"""Measurements of several finished runs on one results page: whether they may stand there, and how each was made."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lambda_vae.errors import InputError
from lambda_vae.files import write_atomic, write_json
from lambda_vae.reports.provenance import provenance_lines

__all__ = ["check_places", "how_made", "with_error", "write_measurements"]

Record = Mapping[str, Any]


def check_places(runs: Sequence[Path], out: Path | None, page: Path | None) -> None:
    """Raise unless what is measured can be written where it shall go; asked before anything is measured.

    Raises:
        InputError: One file for several runs, another ending, or a folder.
    """
    if len(runs) > 1 and out is not None:
        raise InputError(f"`out={out}` is one file for {len(runs)} runs; leave it out")
    if page is not None:
        _check_page(page)


def _check_page(page: Path) -> None:
    if page.suffix != ".md":
        raise InputError(f"{page} ends in {page.suffix!r}; results are written as .md")
    if page.is_dir():
        raise InputError(f"{page} is a folder; name a file")


def write_measurements(records: Sequence[Record], page: str, out: Path) -> Path:
    """Write a page, and next to it NAME.json, the records without the numbers of every example; return its path.

    Args:
        records: One a run, with `run`, `settings` and `provenance`; all measured alike.
        page: The Markdown.
        out: Where to, .md.

    Raises:
        InputError: Another ending, a folder, or settings that differ.
    """
    _check_page(out)
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
    """Return the last section: command, commit, versions, machine and time; what all runs share, once."""
    made = [_made(record) for record in records]
    shared = [line for line in made[0] if all(line in lines for lines in made)]
    own = [
        f"{record['run']}:\n\n" + "\n".join(line for line in lines if line not in shared)
        for record, lines in zip(records, made, strict=True)
        if set(lines) - set(shared)
    ]
    return "\n\n".join(["## How it was made", *(["\n".join(shared)] if shared else []), *own])


def _made(record: Record) -> list[str]:
    kept = ("command", "commit", "versions", "machine", "time")
    return [f"- {label}: {text}" for label, text in provenance_lines(record["provenance"]) if label in kept]


def with_error(reading: Mapping[str, Any], digits: int) -> str:
    """Return "value ± stderr"; a dash stands for either where it cannot be given."""
    value, error = (
        "–" if (number := reading[name]) is None or not math.isfinite(number) else f"{number:.{digits}f}"
        for name in ("value", "stderr")
    )
    return value if value == "–" else f"{value} ± {error}"
