"""CIFAR-10's binary version: records of a label and 3 x 1,024 values, loose or in the archive of its authors."""

import lzma
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_vae.data.source import Part, Source, rows_per_chunk
from lambda_vae.errors import InputError

__all__ = ["CIFAR_BATCHES", "CIFAR_CLASSES", "batches_sha256", "cifar_sha256", "cifar_source", "is_cifar"]

_TEST = "test_batch.bin"

CIFAR_BATCHES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), _TEST)
"""The files that hold images, those to train on first."""

CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_SHAPE = (32, 32, 3)
_RECORD = 1 + 3 * 32 * 32
_DAMAGE = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError)


def is_cifar(path: Path) -> bool:
    """True for the archive by its name, and for a folder with the batches in it."""
    if path.is_dir():
        return all((path / name).is_file() for name in CIFAR_BATCHES)
    return path.name.startswith("cifar-10-") and (
        ".tar" in path.suffixes[:1] + path.suffixes[-2:] or path.suffix == ".tgz"
    )


def batches_sha256(hashes: Mapping[str, str]) -> str:
    """One hash of all batches, from those of each: the same however they are packed."""
    return sha256("".join(f"{name} {hashes.get(name)}\n" for name in CIFAR_BATCHES).encode()).hexdigest()


def cifar_sha256(path: Path) -> str:
    """`batches_sha256` of an archive.

    Raises:
        InputError: It is missing or damaged, or holds pickles.
    """
    return batches_sha256({name: sha256(content).hexdigest() for name, content in _unpacked(path).items()})


def _contents(path: Path) -> dict[str, bytes]:
    """The batches by name; the archive is read from front to back, once."""
    if path.is_dir():
        return {name: (path / name).read_bytes() for name in CIFAR_BATCHES if (path / name).is_file()}
    found: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = PurePath(member.name).name
            if name.startswith("data_batch_") and not name.endswith(".bin"):
                raise InputError(
                    f"{path} holds pickles, which are never loaded; fetch the binary version, cifar-10-binary.tar.gz"
                )
            file = archive.extractfile(member) if name in CIFAR_BATCHES else None
            if file is not None:
                found[name] = file.read()
    return found


def _unpacked(path: Path) -> dict[str, bytes]:
    try:
        return _contents(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except _DAMAGE as error:
        raise InputError(f"{path} is truncated or corrupt ({error}); fetch it again") from None


def _records(where: str, content: bytes) -> NDArray[np.uint8]:
    if not content or len(content) % _RECORD:
        raise InputError(
            f"{where} has {len(content)} bytes, which is no whole number of records of {_RECORD}; fetch it again"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    if (label := int(records[:, 0].max())) >= len(CIFAR_CLASSES):
        raise InputError(f"{where} has the label {label}; labels are 0 to 9: fetch it again")
    return records


def _part(batches: list[NDArray[np.uint8]]) -> Part:
    step = rows_per_chunk(_RECORD)

    def chunks() -> Iterator[NDArray[Any]]:
        for batch in batches:
            for start in range(0, len(batch), step):
                planes = batch[start : start + step, 1:].reshape(-1, 3, 32, 32)
                yield planes.transpose(0, 2, 3, 1)  # rows hold pixel by pixel, files colour by colour

    labels = np.concatenate([batch[:, 0] for batch in batches]).astype(np.int64)
    return Part(len(labels), chunks, labels)


def cifar_source(path: Path, source: str = "") -> Source:
    """CIFAR-10, [32, 32, 3] with labels 0 to 9, from its archive (.tar, gzipped or xz) or a folder of `CIFAR_BATCHES`.

    About 180 MB are held in memory while it is prepared.

    Raises:
        InputError: A batch is missing, or something is damaged, or it is the version that holds pickles.
    """
    contents = _unpacked(path)
    if missing := [name for name in CIFAR_BATCHES if name not in contents]:
        raise InputError(f"{path} has no {', '.join(missing)}; fetch cifar-10-binary.tar.gz again")
    batches = [_records(f"{path}, {name},", contents[name]) for name in CIFAR_BATCHES]
    said = source or f"CIFAR-10's binary version, {path.name}"
    return Source("image", _SHAPE, _part(batches[:-1]), _part(batches[-1:]), said, CIFAR_CLASSES)
