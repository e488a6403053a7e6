"""CelebA at 64x64, from the files that its authors hand out and the user has placed."""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from lambda_vae.data.pictures import centre_square
from lambda_vae.data.source import Part, Source, rows_per_chunk
from lambda_vae.errors import InputError

__all__ = ["CELEBA_FILES", "celeba_source"]

CELEBA_FILES = ("img_align_celeba.zip", "list_eval_partition.txt")
"""The aligned and cropped images, and which of them belong to which part."""

#: The square that is cut out of 178x218 pixels, and what becomes of it.
_SIDE, _SIZE = 148, 64
_PARTS = {"0": "train", "1": "validation", "2": "test"}
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, zlib.error, zipfile.BadZipFile, UnidentifiedImageError)


def _partition(path: Path) -> dict[str, list[str]]:
    """The names of the images of each part, in the order of the file."""
    names: dict[str, list[str]] = {name: [] for name in _PARTS.values()}
    try:
        lines = path.read_text(encoding="ascii").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); fetch it again") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, _, part = line.partition(" ")
        if part.strip() not in _PARTS:
            raise InputError(f"{path}, line {number}, is {line!r}; it must be a file's name and 0, 1 or 2")
        names[_PARTS[part.strip()]].append(name)
    return names


def _face(archive: zipfile.ZipFile, member: str, path: Path) -> NDArray[np.uint8]:
    try:
        with archive.open(member) as file, Image.open(file) as image:
            if min(image.size) < _SIDE:
                raise InputError(f"{path}, {member}, is {image.size}; faces are 178x218: fetch the aligned images")
            return np.asarray(centre_square(image.convert("RGB"), _SIZE, _SIDE))
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(f"{path}, {member}, is damaged ({error}); fetch the archive again") from None


def _part(path: Path, members: Sequence[str]) -> Part:
    step = rows_per_chunk(3 * _SIZE * _SIZE)

    def chunks() -> Iterator[NDArray[Any]]:
        with zipfile.ZipFile(path) as archive:
            for start in range(0, len(members), step):
                yield np.stack([_face(archive, member, path) for member in members[start : start + step]])

    return Part(len(members), chunks, None)


def celeba_source(images: Path, partition: Path, source: str = "") -> Source:
    """CelebA's aligned faces, [64, 64, 3]: the centred 148x148 pixels, resized; the authors' validation part stays out.

    Returns:
        The source, [64, 64, 3], without labels.

    Raises:
        InputError: A file is missing or damaged, or an image that the partition names is not there.
    """
    names = _partition(partition)
    try:
        with zipfile.ZipFile(images) as archive:
            member = {PurePath(entry).name: entry for entry in archive.namelist()}
    except _DAMAGE as error:
        raise InputError(f"{images} is not a readable zip file ({error}); fetch it again") from None
    for name in (*names["train"], *names["test"]):
        if name not in member:
            raise InputError(f"{images} has no {name}, which {partition.name} names; fetch it again")
    train, test = (_part(images, [member[name] for name in names[part]]) for part in ("train", "test"))
    return Source("image", (_SIZE, _SIZE, 3), train, test, source or f"CelebA's aligned faces, {images.name}")
