"""The prepared cache: arrays on disk, ready to be memory-mapped, written once and renamed into place."""

import errno
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_vae.data.checks import check_brightness, check_source
from lambda_vae.data.dataset import Dataset, Split
from lambda_vae.data.source import CHUNK_BYTES, Part, Source
from lambda_vae.errors import InputError
from lambda_vae.files import read_json
from lambda_vae.text.vocabulary import Vocabulary

__all__ = ["array_sha256", "content_hash", "default_cache", "open_array", "open_prepared", "store"]

FORMAT = 1
DTYPES = {"image": "|u1", "vector": "<f4"}


def default_cache() -> Path:
    """Where prepared data goes: `LAMBDA_VAE_CACHE` if set, else `lambda-vae` in the platform's cache folder."""
    if own := os.environ.get("LAMBDA_VAE_CACHE"):
        return Path(own).expanduser()
    import pooch  # brings the platform's rule with it

    return Path(pooch.os_cache("lambda-vae"))


def _write_array(path: Path, dtype: str, shape: tuple[int, ...], chunks: Iterator[NDArray[Any]]) -> dict[str, Any]:
    """Write `chunks` as one .npy file; plain writes, so that the peak of memory is one chunk."""
    digest, rows = sha256(), 0
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
        for chunk in chunks:
            rows += len(chunk)
            data = np.ascontiguousarray(chunk, dtype=dtype).data
            file.write(data)
            digest.update(data)
        file.flush()
        os.fsync(file.fileno())
    if rows != shape[0]:
        raise InputError(f"{path.stem} should have {shape[0]} rows and has {rows}; the raw file changed or is damaged")
    return {"shape": list(shape), "dtype": dtype, "sha256": digest.hexdigest()}


def _write_sequences(folder: Path, name: str, part: Part) -> dict[str, dict[str, Any]]:
    assert part.offsets is not None
    x, offsets, total = f"{name}_x.npy", f"{name}_offsets.npy", int(part.offsets[-1])
    (flat,) = part.chunks()
    return {
        x: _write_array(folder / x, flat.dtype.newbyteorder("<").str, (total,), iter([flat])),
        offsets: _write_array(folder / offsets, "<i8", (part.count + 1,), iter([part.offsets])),
    }


def _write_part(folder: Path, name: str, part: Part, source: Source, label: str) -> dict[str, dict[str, Any]]:
    if source.kind == "sequence":
        return _write_sequences(folder, name, part)
    features, brightest = math.prod(source.shape), 0

    def rows() -> Iterator[NDArray[Any]]:
        nonlocal brightest
        for chunk in part.chunks():
            if source.kind == "image":
                brightest = max(brightest, int(chunk.max(initial=0)))
            yield chunk.reshape(len(chunk), features)

    files = {
        f"{name}_x.npy": _write_array(folder / f"{name}_x.npy", DTYPES[source.kind], (part.count, features), rows())
    }
    if name == "train" and source.kind == "image":
        check_brightness(label, brightest)
    if part.labels is not None:
        y = f"{name}_y.npy"
        files[y] = _write_array(folder / y, "<i8", (part.count,), iter([part.labels]))
    return files


def content_hash(meta: Mapping[str, Any]) -> str:
    """SHA-256 over the kind, the shape, what `meta.json` says of each array, and the vocabulary: a data set's own hash.

    Args:
        meta: The content of `meta.json`.
    """
    facts = [meta["kind"], list(meta["shape"]), meta["files"]]
    facts += [] if meta.get("vocabulary") is None else [meta["vocabulary"]]
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _write_all(folder: Path, name: str, source: Source, raw: list[dict[str, Any]], *, own: bool = False) -> None:
    files: dict[str, dict[str, Any]] = {}
    for part, rows in (("train", source.train), ("test", source.test)):
        files |= _write_part(folder, part, rows, source, name)
    meta: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "kind": source.kind,
        "shape": list(source.shape),
        "classes": source.classes,
        "source": source.source,
        "files": files,
        "raw": raw,
        "own": own,
    }
    if source.vocabulary is not None:
        meta["vocabulary"] = source.vocabulary.to_record()
    meta["sha256"] = content_hash(meta)
    with (folder / "meta.json").open("w", encoding="utf-8") as file:
        json.dump(meta, file, indent=1, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())


def _remove_leftovers(folder: Path) -> None:
    """Remove leftovers of preparations of `folder` that were killed a day ago or earlier."""
    for old in folder.parent.glob(f".{folder.name}.*.tmp"):
        with suppress(FileNotFoundError):  # another process may just have renamed it
            if time.time() - old.stat().st_mtime > 86400:
                shutil.rmtree(old, ignore_errors=True)


def store(folder: Path, name: str, source: Source, raw: list[dict[str, Any]], *, own: bool = False) -> None:
    """Write `source` to `folder`, whole or not at all; of several processes that do so at once the first one wins.

    Args:
        folder: The prepared folder to make; kept as it is if it exists by the time this one is ready.
        name: Recorded as the data set's name.
        source: What to write.
        raw: Facts about the raw files, recorded for `verify`.
        own: Whether it is the user's own data.

    Raises:
        InputError: The raw data is damaged, or the disk is full.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    except OSError as error:
        raise InputError(
            f"the cache {folder.parent} cannot be written ({error.strerror}); set LAMBDA_VAE_CACHE"
        ) from None
    try:
        check_source(name, source)
        _write_all(temporary, name, source, raw, own=own)
        temporary.chmod(0o755)
        os.rename(temporary, folder)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(f"the disk of {folder.parent} is full; free some space or set LAMBDA_VAE_CACHE") from None
        if not (folder / "meta.json").is_file():
            raise InputError(f"{folder} cannot be written ({error.strerror}); remove it and try again") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def open_array(path: Path) -> NDArray[Any]:
    """A memory map of `path` that cannot change the file.

    Copy-on-write where the system grants it, because tensors over a read-only map are fatal to write to; a kernel may
    refuse that for files larger than memory, and then the map is read-only.

    Raises:
        InputError: The file is missing or damaged.
    """
    modes: tuple[Any, ...] = ("c", "r")
    for mode in modes:
        try:
            array: NDArray[Any] = np.load(path, mmap_mode=mode, allow_pickle=False)
            return array
        except (OSError, MemoryError) as error:
            if mode == "r" or isinstance(error, FileNotFoundError):
                raise _damaged(path, str(error)) from None
        except (ValueError, EOFError) as error:
            raise _damaged(path, str(error)) from None
    raise AssertionError("unreachable")


def _damaged(path: Path, what: str) -> InputError:
    return InputError(f"prepared file {path} is missing or damaged ({what}); remove {path.parent} and prepare it again")


def array_sha256(array: NDArray[Any]) -> str:
    """SHA-256 of the array's bytes in row-major order, read in chunks."""
    digest = sha256()
    step = max(1, CHUNK_BYTES * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), step):
        digest.update(np.ascontiguousarray(array[start : start + step]).data)
    return digest.hexdigest()


def _checked(folder: Path, name: str, meta: dict[str, Any]) -> NDArray[Any]:
    array = open_array(folder / name)
    expected = meta["files"][name]
    if list(array.shape) != expected["shape"] or array.dtype.str != expected["dtype"]:
        raise _damaged(folder / name, f"{array.dtype.str} {array.shape} where {expected['dtype']} was written")
    return array


def _split(folder: Path, part: str, meta: dict[str, Any]) -> Split:
    y, offsets = (
        _checked(folder, name, meta) if (name := f"{part}_{what}.npy") in meta["files"] else None
        for what in ("y", "offsets")
    )
    return Split(_checked(folder, f"{part}_x.npy", meta), y, offsets=offsets)


def open_prepared(folder: Path) -> Dataset:
    """The data set in a prepared folder, memory-mapped; shapes and sizes are checked, hashes are not (see `verify`).

    Raises:
        InputError: Something in it is missing or damaged.
    """
    meta = read_json(folder / "meta.json")
    try:
        return Dataset(
            name=meta["name"],
            kind=meta["kind"],
            shape=tuple(meta["shape"]),
            train=_split(folder, "train", meta),
            test=_split(folder, "test", meta),
            sha256=meta["sha256"],
            source=meta["source"],
            classes=None if meta["classes"] is None else tuple(meta["classes"]),
            vocabulary=Vocabulary.of(meta["vocabulary"]) if "vocabulary" in meta else None,
        )
    except (KeyError, TypeError) as error:
        raise _damaged(folder / "meta.json", repr(error)) from None
