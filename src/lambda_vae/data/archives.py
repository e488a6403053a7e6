"""The user's .npz files: which of their arrays are the examples, which the labels, and in which parts."""

import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Literal, cast

import numpy as np
from jaxtyping import Shaped
from numpy.typing import NDArray

from lambda_vae.data.arrays import DAMAGE, StoredArray, part_of, stored_array
from lambda_vae.data.labels import read_labels
from lambda_vae.data.pixels import Reading, reading_of
from lambda_vae.data.source import PART_WORDS, Part, Source, listed, split_off_test
from lambda_vae.data.sparse import is_sparse, sparse_source
from lambda_vae.errors import InputError

__all__ = ["npz_source"]

Role = Literal["x", "y"]

_ROLES: dict[str, Role] = {
    **dict.fromkeys(
        ("x", "data", "image", "images", "img", "imgs", "input", "inputs", "feature", "features", "examples"), "x"
    ),
    **dict.fromkeys(("y", "label", "labels", "target", "targets"), "y"),
}
_CLASSES = ("classes", "label_names", "class_names", "target_names")


@dataclass(frozen=True)
class _Archive:
    """The arrays of one file by name; those that cannot be read with the reason why."""

    path: Path
    arrays: Mapping[str, StoredArray | InputError]

    def get(self, key: str) -> StoredArray:
        if isinstance(array := self.arrays[key], InputError):
            raise array
        return array

    def described(self, key: str) -> str:
        array = self.arrays[key]
        return f"{key} (unread)" if isinstance(array, InputError) else f"{key} {array.shape}"

    def all_described(self) -> str:
        return listed([self.described(key) for key in sorted(self.arrays)], 40) or "none"


@contextmanager
def _member(path: Path, name: str) -> Iterator[BufferedReader]:
    """One stored array of a .npz file as a stream; the archive is closed with it."""
    with zipfile.ZipFile(path) as archive, archive.open(name) as member:
        yield BufferedReader(cast(zipfile.ZipExtFile, member))


def _whole(path: Path, key: str) -> Shaped[np.ndarray, "..."]:
    with np.load(path, allow_pickle=False) as archive:
        return np.asarray(archive[key])


def _open(path: Path) -> _Archive:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
    except DAMAGE as error:
        raise InputError(f"{path} is not a readable .npz file ({error}); save it again") from None
    arrays: dict[str, StoredArray | InputError] = {}
    for name in names:
        key = name.removesuffix(".npy")
        try:
            arrays[key] = stored_array(f"{path}, {key!r},", partial(_member, path, name), partial(_whole, path, key))
        except InputError as error:
            arrays[key] = error
    return _Archive(path, arrays)


def _role(key: str) -> tuple[str, Role] | None:
    """Which part and what of it a name says: `x_train`, `train_images`, `XTrain`, `trainY`, `test`; None if neither."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower()
    spaced = re.sub(r"^([xy])(?=train|test|val)|(train|test|val)(?=[xy]$)", r"\1\2_", spaced)
    words = [word for word in re.split(r"[^a-z0-9]+", spaced) if word]
    parts = [PART_WORDS[word] for word in words if word in PART_WORDS]
    roles = [_ROLES[word] for word in words if word in _ROLES]
    if not words or len(parts) + len(roles) < len(words) or len(parts) > 1 or len(roles) > 1:
        return None
    return (parts[0] if parts else "all"), (roles[0] if roles else "x")


def _roles(archive: _Archive) -> dict[tuple[str, Role], str]:
    """The array of each role; where no name says which are the examples, the only one that can be."""
    found: dict[tuple[str, Role], str] = {}
    for key in archive.arrays:
        if (role := _role(key)) is None or (role[1] == "y" and role in found):
            continue
        if role in found:
            both = f"{archive.described(found[role])} and {archive.described(key)}"
            raise InputError(f"{archive.path} has {both}, of which either may be the examples; leave one out of it")
        found[role] = key
    if not any(role == "x" for _, role in found):
        taken = {*found.values(), *_CLASSES}
        able = [
            key
            for key, array in archive.arrays.items()
            if key not in taken
            and isinstance(array, StoredArray)
            and len(array.shape) > 1
            and array.dtype.kind in "uifb"
        ]
        if len(able) == 1:
            found["all", "x"] = able[0]
    if ("train", "x") not in found and ("all", "x") in found:
        found["train", "x"] = found.pop(("all", "x"))
    if ("train", "y") not in found and ("all", "y") in found:
        found["train", "y"] = found.pop(("all", "y"))
    if ("train", "x") not in found:
        raise InputError(
            f"{archive.path} has the arrays {archive.all_described()}; name the examples x, or train and test"
        )
    return found


def npz_source(path: Path) -> Source:
    """Examples under `x`, `images`, `data` and such, with labels under `y` or `labels`; or in parts that come split.

    The parts are `train` and `test` (also `x_train`, `train_images`, `testX`, ...), with labels `y_train` and `y_test`
    (or `train_labels`, ...). A validation part stands in for a test part that is missing, else it is not read; without
    either a test part is split off. The only array that can hold examples is read under any name. `classes` or
    `label_names` may name integer labels. What scipy.sparse.save_npz wrote is read too.

    Returns:
        The source; its words say which arrays were not read.

    Raises:
        InputError: The file is damaged, holds objects, or it is not clear what its examples are, or an array has
            another shape or type.
    """
    archive = _open(path)
    if is_sparse(archive.arrays):
        return sparse_source(path)
    roles = _roles(archive)
    held = next((part for part in ("test", "validation") if (part, "x") in roles), None)
    used = {role: key for role, key in roles.items() if role[0] in ("train", held)}
    arrays = {role: archive.get(key) for role, key in used.items()}
    train = arrays["train", "x"]
    reading = reading_of(train.shape, train.dtype, train.where, train.first)
    labels = read_labels([(arrays.get((part, "y")), arrays.get((part, "x"))) for part in ("train", held or "")])
    names = next((key for key in _CLASSES if key in archive.arrays), None)
    classes = labels.classes if names is None else tuple(str(name) for name in archive.get(names).read())
    most = max((int(numbers.max(initial=-1)) for numbers in labels.numbers if numbers is not None), default=-1)
    if classes is not None and most >= len(classes):
        raise InputError(
            f"{path}, {names!r}, names {len(classes)} classes and there is a label {most}; name all of them"
        )
    rows = part_of(train, reading, labels.numbers[0])
    if held is None:
        parts, note = split_off_test(rows), "; a tenth split off as the test part"
    else:
        parts = rows, _held_part(train, arrays[held, "x"], reading, labels.numbers[1])
        note = "" if held == "test" else f"; {used[held, 'x']} is the test part"
    unread = [archive.described(key) for key in archive.arrays if key not in {*used.values(), names}]
    note += f"; the examples are {used['train', 'x']}" if _role(used["train", "x"]) is None else ""
    note += labels.note + (f"; not read: {listed(unread, 12)}" if unread else "")
    return Source(reading.kind, reading.shape, *parts, f"{path.name}{reading.note}{note}", classes)


def _held_part(train: StoredArray, held: StoredArray, reading: Reading, labels: NDArray[np.int64] | None) -> Part:
    """The test part, converted as the training part is where they are alike."""
    if (held.shape[1:], held.dtype.kind) != (train.shape[1:], train.dtype.kind):
        own = reading_of(held.shape, held.dtype, held.where, held.first)
        if (own.kind, own.shape) != (reading.kind, reading.shape):
            raise InputError(
                f"{held.where} holds {own.kind}s of shape {own.shape} and the training part {reading.kind}s of shape "
                f"{reading.shape}; they must be alike"
            )
        reading = own
    return part_of(held, reading, labels)
