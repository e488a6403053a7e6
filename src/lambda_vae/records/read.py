"""What a finished run or comparison left on disk, read back as plain data: no model, no tensor, no pickle."""

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_vae.errors import InputError
from lambda_vae.files import read_json
from lambda_vae.records.run_row import RunRow, damaged

__all__ = [
    "ComparisonRecord",
    "RunRecord",
    "check_dimensions",
    "check_history",
    "load_comparison",
    "load_record",
    "load_run",
]


@dataclass(frozen=True, eq=False)
class RunRecord:
    """One training run as it lies on disk; what is missing is empty.

    Args:
        path: The run's folder.
        row: The scalar metrics.
        dimensions: Per-dimension lists of length `latent_dim`; empty for a failed run.
        history: The series of history.json; empty if there is none.
        images: The uint8 arrays of images.npz; empty for data that are not images.
        texts: The content of texts.json; empty for data that are no sequences.
        provenance: Command, commit, versions, data, machine.
        config: The text of config.yaml.
    """

    path: Path
    row: RunRow
    dimensions: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    history: Mapping[str, Any] = field(default_factory=dict)
    images: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    texts: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    config: str = ""

    @property
    def label(self) -> str:
        """The method's name as people read it; runs that differ only in their seed share it."""
        return self.row.label

    @property
    def failed(self) -> bool:
        """Whether the run stopped without a result."""
        return not self.row.done

    def column(self, name: str) -> NDArray[np.float64]:
        """Return one per-dimension quantity, [D], with NaN where the record has null.

        Args:
            name: A key of `dimensions`, such as "kl".
        """
        return np.array(self.dimensions.get(name) or [], dtype=np.float64)

    def track(self, name: str) -> NDArray[np.float64]:
        """Return one per-dimension quantity over epochs, [E, D]; [0, 0] where the record has none.

        Args:
            name: A key of `history["dimensions"]`, such as "std_mean".
        """
        values = self.history.get("dimensions", {}).get(name)
        return np.array(values, dtype=np.float64) if values else np.zeros((0, 0))


@dataclass(frozen=True, eq=False)
class ComparisonRecord:
    """Several runs that are compared.

    Args:
        path: The comparison's folder.
        rows: One row a run, in the order of table.json.
        runs: The runs whose folders could be found; a subset of `rows`, same order.
        provenance: As for a run.
        config: The text of config.yaml.
    """

    path: Path
    rows: tuple[RunRow, ...]
    runs: tuple[RunRecord, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    config: str = ""

    @property
    def name(self) -> str:
        """The folder's name, which is the comparison's."""
        return self.path.resolve().name

    @property
    def data(self) -> str:
        """The data set's name, or an empty string."""
        return str((self.provenance.get("data") or {}).get("name") or "")


def load_record(path: Path) -> ComparisonRecord:
    """Return what lies in `path`, a run or a comparison; a run comes back as a comparison of one.

    Args:
        path: A folder with metrics.json (a run) or table.json (a comparison).

    Returns:
        The record.

    Raises:
        InputError: There is neither, or a file is damaged.
    """
    if (path / "table.json").exists():
        return load_comparison(path)
    if not (path / "metrics.json").exists():
        raise InputError(f"{path} holds neither table.json nor metrics.json; give the folder of a run or a comparison")
    run = load_run(path)
    return ComparisonRecord(path, (run.row,), (run,), run.provenance, run.config)


def load_comparison(path: Path) -> ComparisonRecord:
    """Return the comparison in `path`.

    Args:
        path: A folder with table.json.

    Returns:
        The record; runs whose folders are gone are left out of `runs`, never out of `rows`.

    Raises:
        InputError: table.json is missing or damaged, names a folder outside `path`, or a run in it is damaged.
    """
    source = path / "table.json"
    lines = read_json(source)
    if not isinstance(lines, list) or not lines:
        raise InputError(f"{source} must be a list with one row a run; write it again with the comparison")
    rows, runs = tuple(RunRow.from_record(line, source) for line in lines), []
    for row in rows:
        folder = path / (row.path or f"runs/{row.run}")
        if not folder.resolve().is_relative_to(path.resolve()):
            raise InputError(f"{source} points outside its folder ({row.path!r}); a run lies under runs/")
        if (folder / "metrics.json").exists():
            run = load_run(folder)
            # A run goes by the name that it has in the comparison.
            runs.append(replace(run, row=replace(run.row, run=row.run, label=row.label)))
    return ComparisonRecord(path, rows, tuple(runs), _optional(path / "provenance.json"), _text(path))


def load_run(path: Path) -> RunRecord:
    """Return the run in `path`.

    Args:
        path: A folder with metrics.json; history, images, provenance and config may be missing.

    Returns:
        The record.

    Raises:
        InputError: metrics.json is missing, or any file that is there is damaged.
    """
    source = path / "metrics.json"
    metrics = read_json(source)
    row, dimensions = RunRow.from_record(metrics, source), metrics.get("dimensions") or {}
    check_dimensions(dimensions, row.latent_dim, source)
    history = _optional(path / "history.json")
    check_history(history, path / "history.json")
    images, made = _images(path / "images.npz"), _optional(path / "provenance.json")
    today, texts = row.as_measured_today(dimensions), _texts(path / "texts.json")
    return RunRecord(path, today, dimensions, history, images, texts, made, _text(path))


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def check_dimensions(dimensions: object, latent_dim: object, source: Path) -> None:
    """Raise unless every column has one value a dimension.

    Raises:
        InputError: A column has another length or holds no numbers.
    """
    if not isinstance(dimensions, dict):
        raise damaged(source, "'dimensions' must be an object")
    for key, values in dimensions.items():
        if values is None:
            continue
        if not isinstance(values, list) or len(values) != latent_dim:
            raise damaged(source, f"dimension column {key!r} must have {latent_dim} entries")
        if key not in ("verdict", "cause") and not all(isinstance(v, bool) or _is_number(v) for v in values):
            raise damaged(source, f"dimension column {key!r} must hold numbers")


def check_history(history: Mapping[str, Any], source: Path) -> None:
    """Raise unless every series has one value an epoch.

    Raises:
        InputError: A series has another length or holds no numbers.
    """
    if not history:
        return
    epochs = history.get("epochs")
    if not isinstance(epochs, list) or not all(_is_number(e) and e is not None for e in epochs):
        raise damaged(source, "'epochs' must be a list of numbers")
    series = {key: values for key, values in history.items() if key not in ("epochs", "test", "dimensions")}
    for key, values in series.items():
        if not isinstance(values, list) or len(values) != len(epochs) or not all(map(_is_number, values)):
            raise damaged(source, f"series {key!r} must have one number for each of the {len(epochs)} epochs")
    for key, grid in (history.get("dimensions") or {}).items():
        try:
            shape = np.array(grid, dtype=np.float64).shape
        except (TypeError, ValueError):
            shape = ()
        if epochs and (len(shape) != 2 or shape[0] != len(epochs)):
            raise damaged(source, f"series {key!r} must have one list of equal length for each epoch")


def _optional(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    value = read_json(path)
    if not isinstance(value, dict):
        raise damaged(path, "it must be an object")
    return value


def _texts(path: Path) -> Mapping[str, Any]:
    texts = _optional(path)
    for key, hint in _TEXTS.items():
        try:
            there = hint(texts.get(key, []))
        except (TypeError, ValueError, KeyError):
            there = False
        if not there:
            raise damaged(path, f"{key!r} must hold texts")
    return texts


def _all_text(values: Any) -> bool:  # noqa: ANN401 - from outside
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


#: What the parts of texts.json must be.
_TEXTS: dict[str, Callable[[Any], bool]] = {
    "prior_samples": _all_text,
    "reconstructions": lambda pairs: all(_all_text(pair) and len(pair) == 2 for pair in pairs),
    "traversals": lambda rows: all(
        _is_number(row["dimension"]) and all(_is_number(value) and _all_text([text]) for value, text in row["steps"])
        for row in rows
    ),
}


def _text(folder: Path) -> str:
    path = folder / "config.yaml"
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _images(path: Path) -> dict[str, NDArray[Any]]:
    if not path.exists():
        return {}
    try:
        # Opened here, for numpy leaves a damaged archive open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            images = {key: archive[key] for key in archive.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise damaged(path, str(error)) from None
    for key in ("originals", "reconstructions", "prior_samples", "traversals"):
        if key in images and images[key].dtype != np.uint8:
            raise damaged(path, f"{key!r} must be uint8, not {images[key].dtype}")
    return images
