"""Where the numbers come from, as label and text."""

from collections.abc import Mapping
from typing import Any

__all__ = ["provenance_lines"]


def provenance_lines(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return provenance.json as lines of label and text; what is missing is left out.

    Example:
        >>> provenance_lines({"commit": "abc", "dirty": True, "seeds": [0, 1]})
        [('commit', 'abc, with uncommitted changes'), ('seeds', '0, 1')]
    """
    data, machine = _mapping(provenance.get("data")), _mapping(provenance.get("machine"))
    sizes = [
        f"{data[key]:,} {word}"
        for key, word in (("train", "training"), ("validation", "validation"), ("test", "test"))
        if isinstance(data.get(key), int)
    ]
    dirty = ", with uncommitted changes" if provenance.get("dirty") else ""
    lines = [
        ("command", provenance.get("command")),
        ("commit", f"{provenance['commit']}{dirty}" if provenance.get("commit") else None),
        ("versions", _pairs(_mapping(provenance.get("versions")))),
        ("data", ", ".join(str(part) for part in (data.get("name"), *sizes, data.get("source")) if part)),
        ("data SHA-256", data.get("sha256")),
        ("binarisation", data.get("binarisation")),
        ("measured on", "a validation split of the training data" if data.get("measured_on") == "validation" else ""),
        ("seeds", ", ".join(map(str, provenance.get("seeds") or ()))),
        ("started", provenance.get("started")),
        ("finished", provenance.get("finished")),
        ("time", _duration(provenance.get("seconds"))),
        ("machine", _pairs(machine)),
        ("options", _pairs(_mapping(provenance.get("options")))),
    ]
    return [(label, str(text)) for label, text in lines if text]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items() if value is not None)


def _duration(seconds: object) -> str:
    if not isinstance(seconds, int | float):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return " ".join(f"{n} {unit}" for n, unit in ((hours, "h"), (minutes, "min"), (rest, "s")) if n) or "under 1 s"
