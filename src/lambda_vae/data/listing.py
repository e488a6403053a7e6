"""The rows of `data list` and the checks of `data verify`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lambda_vae.data.cache import array_sha256, content_hash, default_cache, open_array
from lambda_vae.data.dataset import Dataset
from lambda_vae.data.loading import own_folder, prepared_folder
from lambda_vae.data.named import NAMED, NamedDataset, named
from lambda_vae.data.own import raw_sha256
from lambda_vae.data.pictures import ImageOptions
from lambda_vae.data.rawfiles import find_rendition, hash_fault
from lambda_vae.errors import InputError
from lambda_vae.files import read_json
from lambda_vae.text.options import SequenceOptions

__all__ = ["Check", "Row", "describe", "shown", "verify"]


@dataclass(frozen=True)
class Row:
    """A data set in the list.

    Attributes:
        name: What to type, or the name of the user's own prepared data.
        title: What it is.
        kind: "image", "vector" or "sequence".
        shape: Of one example.
        train: Number of training examples.
        test: Number of test examples.
        prepared: Whether it is in the cache, ready.
        where: The prepared folder, the raw folder, or where it would come from.
        licence: As its authors state it; empty for own data.
        citation: What to cite; empty for own data.
    """

    name: str
    title: str
    kind: str
    shape: tuple[int, ...]
    train: int
    test: int
    prepared: bool
    where: str
    licence: str
    citation: str


@dataclass(frozen=True)
class Check:
    """One finding: `what` was checked, whether it is `ok`, and the `detail` to print."""

    what: str
    ok: bool
    detail: str


def _where(row: NamedDataset, cache: Path) -> tuple[bool, str]:
    if folder := prepared_folder(row, cache):
        return True, str(folder)
    if not row.renditions:
        return False, "embedded"
    if found := find_rendition(row, cache):
        return False, str(found[1][0].parent)
    if row.home:
        return False, f"yours to fetch from {urlsplit(row.home).hostname}"
    return False, f"download from {urlsplit(row.renditions[0].mirrors[0]).hostname}"


def _named_row(row: NamedDataset, cache: Path) -> Row:
    prepared, where = _where(row, cache)
    same = {name: value for name, value in vars(row).items() if name in Row.__dataclass_fields__}
    return Row(**same, prepared=prepared, where=where)


def _examples(files: Mapping[str, Any], part: str) -> int:
    """How many examples a part has, by the shapes of its arrays."""
    ragged = files.get(f"{part}_offsets.npy")
    return int(files[f"{part}_x.npy"]["shape"][0] if ragged is None else ragged["shape"][0] - 1)


def _own_row(meta_file: Path) -> Row | None:
    """A prepared set of the user's own; None for named sets, and for folders that this version did not write."""
    try:
        meta = json.loads(meta_file.read_text(encoding="utf-8"))
        train, test = (_examples(meta["files"], part) for part in ("train", "test"))
        if not meta["own"]:
            return None
        name, source, kind = (str(meta[key]) for key in ("name", "source", "kind"))
        return Row(name, source, kind, tuple(meta["shape"]), train, test, True, str(meta_file.parent), "", "")
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def describe(cache: Path | None = None) -> list[Row]:
    """One row for each named data set, then one for each of the user's own that is prepared.

    Args:
        cache: Folder of prepared data; the default one if None.

    Returns:
        The rows; nothing is downloaded or prepared.
    """
    cache = default_cache() if cache is None else cache
    own = [_own_row(path) for path in sorted(cache.glob("*/meta.json"))]
    return [*(_named_row(row, cache) for row in NAMED.values()), *(row for row in own if row is not None)]


def shown(data: Dataset, count: int = 3) -> list[str]:
    """The first test examples as text; nothing for data that are no sequences.

    Args:
        data: The data set.
        count: How many, at most.
    """
    if data.vocabulary is None or data.test.offsets is None:
        return []
    ends = data.test.offsets[: count + 1].tolist()
    return [data.vocabulary.decode(data.test.x[start:end].tolist()) for start, end in pairwise(ends)]


def _named_raw_checks(row: NamedDataset, cache: Path) -> list[Check]:
    found = find_rendition(row, cache)
    if found is None:
        return []
    pairs = zip(found[1], found[0].files, strict=True)
    faults = [(path, hash_fault(path, file)) for path, file in pairs]
    return [Check(f"raw {path}", fault is None, fault or "the published content") for path, fault in faults]


def _recorded_raw_check(fact: dict[str, Any]) -> Check:
    path = Path(fact["path"])
    try:
        same = path.exists() and raw_sha256(path) == fact["sha256"]
    except InputError as error:
        return Check(f"raw {path}", False, str(error))
    return Check(
        f"raw {path}", same, "as it was when prepared" if same else "missing, or changed since it was prepared"
    )


def _array_check(folder: Path, name: str, fact: dict[str, Any]) -> Check:
    what = f"prepared {folder / name}"
    try:
        array = open_array(folder / name)
    except InputError as error:
        return Check(what, False, str(error))
    same = (
        list(array.shape) == fact["shape"]
        and array.dtype.str == fact["dtype"]
        and array_sha256(array) == fact["sha256"]
    )
    return Check(what, same, "hash fits" if same else f"content has changed; remove {folder} and prepare it again")


def _prepared_checks(folder: Path) -> list[Check]:
    try:
        meta = read_json(folder / "meta.json")
        checks = [_array_check(folder, name, fact) for name, fact in meta["files"].items()]
        same = content_hash(meta) == meta["sha256"]
        checks.append(Check(f"prepared {folder / 'meta.json'}", same, "hash fits" if same else "it has been edited"))
    except (InputError, KeyError, TypeError, AttributeError) as error:
        return [Check(f"prepared {folder / 'meta.json'}", False, f"{error}; remove {folder} and prepare it again")]
    return checks


def verify(
    name_or_path: str | Path,
    *,
    cache: Path | None = None,
    images: ImageOptions | None = None,
    sequences: SequenceOptions | None = None,
) -> list[Check]:
    """Hash the raw files and the prepared arrays again, and compare.

    Args:
        name_or_path: As for `prepare`.
        cache: Folder of prepared data; the default one if None.
        images: As for `prepare`.
        sequences: As for `prepare`.

    Returns:
        A check for each file that is here; sound if all are `ok`. One failed check if the set is not prepared.

    Raises:
        InputError: Unknown name, or no such file.
    """
    cache = default_cache() if cache is None else cache
    own = not (isinstance(name_or_path, str) and name_or_path in NAMED)
    if own:
        folder: Path | None = own_folder(name_or_path, cache, images, sequences)
    else:
        folder = prepared_folder(named(str(name_or_path)), cache, sequences)
    checks = [] if own else _named_raw_checks(NAMED[str(name_or_path)], cache)
    if folder is None or not (folder / "meta.json").is_file():
        return [*checks, Check(f"prepared {name_or_path}", False, "not prepared yet, or changed since")]
    prepared = _prepared_checks(folder)
    if own and all(check.ok for check in prepared):
        checks = [_recorded_raw_check(fact) for fact in read_json(folder / "meta.json")["raw"]]
    return [*checks, *prepared]
