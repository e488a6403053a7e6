"""The packages of the census, and the runs of each that lie in results/census/NAME.json."""

import importlib
import json
from pathlib import Path
from typing import Any

from package import Package

__all__ = ["HOUSE", "NAMES", "RUNS", "package_of", "read", "with_runs"]

HOUSE = Path(__file__).resolve().parents[1]
RUNS = HOUSE / "results" / "census"
NAMES = sorted(path.stem for path in (HOUSE / "census" / "packages").glob("*.py") if path.stem != "__init__")


def package_of(name: str) -> Package:
    """Return the package of a script.

    Args:
        name: Of the script.
    """
    package: Package = importlib.import_module(f"packages.{name}").PACKAGE
    return package


def read(name: str) -> list[dict[str, Any]]:
    """Return the runs of a package that are there.

    Args:
        name: Of its script.
    """
    path = RUNS / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else []


def with_runs() -> dict[str, tuple[Package, list[dict[str, Any]]]]:
    """Return the packages that have runs, with these, by the name of the script."""
    return {name: (package_of(name), runs) for name in NAMES if (runs := read(name))}
