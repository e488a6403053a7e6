"""The records of a comparison as one small file that is kept with its results page, to be imported again later."""

import json
from typing import Any

import yaml

from lambda_vae.records.read import ComparisonRecord, RunRecord

__all__ = ["archive"]

#: Digits that are kept of numbers for each dimension; scalars are kept whole.
_DIGITS = 7
#: Prose that is made of the numbers, and of no use without a report.
_LEFT_OUT = ("explanations",)


def archive(record: ComparisonRecord) -> str:
    """Return rows, provenance and runs as JSON, one line a row or run; without histories, pictures and weights."""
    rows = [{k: v for k, v in row.to_record().items() if k not in _LEFT_OUT} for row in record.rows]
    runs = [_run(run) for run in record.runs if not run.failed]
    lines = [
        '{\n"rows": [\n' + ",\n".join(map(_compact, rows)) + "\n],",
        f'"provenance": {_compact(dict(record.provenance))},',
        '"runs": [\n' + ",\n".join(map(_compact, runs)) + "\n]\n}\n",
    ]
    return "\n".join(lines)


def _run(run: RunRecord) -> dict[str, Any]:
    return {
        "run": run.row.run,
        "config": yaml.safe_load(run.config) if run.config else {},
        "dimensions": _rounded(dict(run.dimensions)),
        "test": list(run.history.get("test") or ()),
        "provenance": dict(run.provenance),
    }


def _rounded(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _compact(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
