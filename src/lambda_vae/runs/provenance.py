"""Where a result comes from: command, commit, versions, data, machine."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from lambda_vae.files import read_json

__all__ = [
    "circumstances",
    "command_line",
    "machine",
    "provenance",
    "provenance_of_runs",
    "repository_state",
    "versions",
]

_PACKAGES = ("lambda_vae", "torch", "numpy", "accelerate", "scikit-learn")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that shape a result."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def repository_state() -> tuple[str, bool]:
    """Return the commit this code stands at and whether files differ from it; ("unknown", False) outside a checkout."""

    def git(*words: str) -> str:
        run = ["git", "-C", str(Path(__file__).parent), *words]
        return subprocess.run(run, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no", "--", "."))
    except (OSError, subprocess.SubprocessError):
        return "unknown", False


def command_line() -> str:
    """Return the command that started this process, without the folders of interpreter and script."""
    program, *words = sys.argv
    return " ".join(["lambda-vae" if Path(program).suffix == ".py" else Path(program).name, *words])


def machine() -> dict[str, Any]:
    """Return processor, cores and threads."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"cpu": cpu, "cores": os.cpu_count(), "threads": torch.get_num_threads(), "gpu": gpu}


def circumstances() -> dict[str, Any]:
    """Return the circumstances of a measurement, for its record: command, commit, versions, machine."""
    commit, dirty = repository_state()
    where = {"versions": versions(), "machine": machine()}
    return {"command": command_line(), "commit": commit, "dirty": dirty, **where}


def provenance(
    command: str, seeds: list[int], data: dict[str, Any], options: dict[str, Any], started: datetime
) -> dict[str, Any]:
    """Return the record that is written next to every result.

    Args:
        command: What was typed.
        seeds: Of the runs.
        data: Name, hash, source, sizes, binarisation.
        options: Precision, matmul route and its measured error.
        started: When, with its zone.
    """
    finished = datetime.now(UTC)
    return {
        **circumstances(),
        "command": command,
        "data": data,
        "seeds": seeds,
        "started": started.isoformat(timespec="seconds"),
        "finished": finished.isoformat(timespec="seconds"),
        "seconds": (finished - started).total_seconds(),
        "options": options,
    }


def provenance_of_runs(out: Path, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the total time of many runs and the code that made each, which may differ from run to run.

    Args:
        out: Folder of the table.
        rows: Its rows, one a run.
    """
    made = {row["run"]: out / row["path"] / "provenance.json" for row in rows}
    records = {name: read_json(path) for name, path in made.items() if path.exists()}
    keys = ("commit", "dirty", "finished", "known")
    return {
        "seconds_training": sum(row.get("seconds") or 0.0 for row in rows),
        "runs": {name: {key: one[key] for key in keys if key in one} for name, one in records.items()},
    }
