"""Where a timing was taken: without this it means nothing."""

import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lambda_vae.runs.provenance import machine, repository_state, versions

__all__ = ["facts", "facts_lines"]


def facts(packages: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return command, commit, machine, versions and date.

    Args:
        packages: Others than our own whose version matters.
    """
    commit, dirty = repository_state()
    script, *words = sys.argv
    return {
        "command": shlex.join(["python", f"benchmarks/{Path(script).name}", *words]),
        "commit": commit,
        "dirty": dirty,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {**machine(), "bfloat16": _multiplies_bfloat16()},
        "versions": {**versions(), **{name: _version(name) for name in packages}},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _multiplies_bfloat16() -> bool | None:
    """Whether the processor has bfloat16 arithmetic; None where the system does not say."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return None
    flags = next((line.split() for line in info.read_text().splitlines() if line.startswith(("flags", "Features"))), [])
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", "bf16"))


def facts_lines(found: dict[str, Any], used: str = "one") -> list[str]:
    """Return the facts as Markdown lines.

    Args:
        found: What `facts` gave.
        used: How many cores the timing took.
    """
    bfloat16 = {True: "has", False: "has no", None: "may or may not have"}[found["machine"]["bfloat16"]]
    packages = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    commit = found["commit"][:12] + (" with changes not committed" if found["dirty"] else "")
    processor = f"{found['machine']['cpu']}, {used} of its {found['machine']['cores']} cores"
    return [
        f"`{found['command']}`",
        "",
        f"{found['date']}, commit {commit}. {packages}. {processor}; it {bfloat16} bfloat16 arithmetic.",
    ]
