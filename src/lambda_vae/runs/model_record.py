"""config.json of a shared model, which is checked in full when it is read back: it may come from anywhere."""

import json
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import file_digest
from pathlib import Path
from typing import Any

from lambda_vae.checked import fits
from lambda_vae.data.hub import HUB, HubName
from lambda_vae.data.named import NAMED
from lambda_vae.distributions import CATEGORICAL, LIKELIHOODS
from lambda_vae.errors import InputError
from lambda_vae.methods.spec import own_modules
from lambda_vae.records.read import check_dimensions
from lambda_vae.records.run_row import RunRow
from lambda_vae.runs.config import RunConfig
from lambda_vae.runs.flat import flat, from_flat, kinds

__all__ = [
    "CARD",
    "CONFIG",
    "HISTORY",
    "VOCABULARY",
    "WEIGHTS",
    "ModelRecord",
    "file_sha256",
    "is_shared",
    "portable_config",
    "read_record",
]

CARD, CONFIG, HISTORY, WEIGHTS = "README.md", "config.json", "history.json", "model.safetensors"
VOCABULARY = "vocabulary.json"
"""The files of a shared model."""

_FORMAT = "lambda-vae shared model 1"

#: A record is some hundred kilobytes; what is a thousand times larger is none.
_LARGEST = 256 * 2**20


@dataclass(frozen=True, eq=False)
class ModelRecord:
    """The record of a shared model.

    Args:
        config: Of its run, the likelihood named, and data by a name that tells nothing of the machine it lay on.
        shape: Of one example.
        diagnosis: What metrics.json of the run says.
        provenance: Where it comes from, without the machine.
        sha256: Of each file next to it, by name.
    """

    config: RunConfig
    shape: tuple[int, ...]
    diagnosis: Mapping[str, Any]
    provenance: Mapping[str, Any]
    sha256: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return the content of config.json; an infinite setting is written as text, for JSON has no word for it."""
        values = {k: str(v) if isinstance(v, float) and math.isinf(v) else v for k, v in flat(self.config).items()}
        return {
            "format": _FORMAT,
            "sha256": self.sha256,
            "shape": self.shape,
            "config": values,
            "diagnosis": self.diagnosis,
            "provenance": self.provenance,
        }


def is_shared(folder: Path) -> bool:
    """Return whether a folder is a shared model, and not a run.

    Args:
        folder: Any path.
    """
    return (folder / CONFIG).is_file()


def portable_config(config: RunConfig, likelihood: str) -> RunConfig:
    """Return a run's config for others, without the machine: of a path to data only the last part stays.

    Args:
        config: The run.
        likelihood: The one it was trained with, whether it was named or followed from the data.
    """
    data = config.data
    if data.startswith(HUB):
        path = HubName.of(data).path
        data = data if path is None else HUB + path.name
    elif data not in NAMED:
        data = Path(data).expanduser().resolve().name
    return replace(config, data=data, likelihood=likelihood)


def read_record(folder: Path) -> ModelRecord:
    """Return the record of a shared model, once the files next to it are found to be the ones that it names.

    Args:
        folder: That `share_run` made, or that came from elsewhere.

    Raises:
        InputError: A file is missing, damaged or not the one that belongs here, or a key is unknown.
    """
    source = folder / CONFIG
    values = _read(source)
    if values.get("format") != _FORMAT:
        raise InputError(
            f"{source} is no shared lambda-vae model (its format is {values.get('format')!r}, not {_FORMAT!r})"
        )
    record = _checked(values, source)
    for name, digest in record.sha256.items():
        if file_sha256(folder / name) != digest:
            raise InputError(
                f"{folder / name} is not the file that {CONFIG} speaks of: its SHA-256 differs; get it again"
            )
    return record


def _read(source: Path) -> dict[str, Any]:
    """`read_json`, for a file that may be anything."""
    try:
        if source.stat().st_size > _LARGEST:
            raise InputError(f"{source} has {source.stat().st_size} bytes; a shared model's has far fewer")
        values = json.loads(source.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{source} does not exist; is {source.parent} a shared model?") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{source} is not valid JSON ({error}); get it again") from None
    if not isinstance(values, dict):
        raise _damaged(source, "it must be an object")
    return values


def _checked(values: Mapping[str, Any], source: Path) -> ModelRecord:
    known = {"format", *ModelRecord.__dataclass_fields__}
    for name in {*known, *values}:
        if name not in known or name not in values:
            raise InputError(f"{source} {'lacks' if name in known else 'has the unknown'} key {name!r}; get it again")
    for name in known - {"format", "shape"}:
        if not isinstance(values[name], dict):
            raise _damaged(source, f"{name!r} must be an object")
    shape, found = values["shape"], values["diagnosis"]
    whole = isinstance(shape, list) and all(type(n) is int and n > 0 for n in shape)
    if not whole or len(shape) not in (1, 2, 3):
        raise _damaged(source, f"'shape' is {shape!r}; it must be [F], [H, W] or [H, W, 3]")
    config = _config(values["config"], source)
    row = RunRow.from_record(found, source)
    check_dimensions(found.get("dimensions"), config.latent_dim, source)
    if row.latent_dim != config.latent_dim:
        raise _damaged(source, f"its diagnosis has {row.latent_dim} dimensions and its config {config.latent_dim}")
    _check_hashes(values["sha256"], source)
    return ModelRecord(config, tuple(shape), found, values["provenance"], values["sha256"])


def _config(values: Mapping[str, Any], source: Path) -> RunConfig:
    for module in own_modules(str(values.get("method"))):
        if module not in sys.modules:  # nothing that came from elsewhere is run unasked
            raise InputError(f"{source} names a method of the module {module!r}; import that first, if you trust it")
    hints = kinds()
    infinite = {k: float(v) for k, v in values.items() if v in ("inf", "-inf") and k in hints and not fits(v, hints[k])}
    config = from_flat({**values, **infinite}, f"{source}: ")
    if config.likelihood not in (*LIKELIHOODS, CATEGORICAL):
        raise _damaged(source, f"its likelihood is {config.likelihood!r}; it must be one of {', '.join(LIKELIHOODS)}")
    return config


def _check_hashes(hashes: Mapping[str, Any], source: Path) -> None:
    if WEIGHTS not in hashes or not hashes.keys() <= {WEIGHTS, HISTORY, VOCABULARY}:
        raise _damaged(source, f"'sha256' must name {WEIGHTS}, and besides it {HISTORY} and {VOCABULARY} at most")
    for name, digest in hashes.items():
        if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise _damaged(source, f"the SHA-256 of {name} is {digest!r}")


def file_sha256(path: Path) -> str:
    """Return the hash of a file, hexadecimal.

    Args:
        path: The file.

    Raises:
        InputError: It is not there.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; get it again")
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _damaged(source: Path, what: str) -> InputError:
    return InputError(f"{source} is damaged: {what}; get it again")
