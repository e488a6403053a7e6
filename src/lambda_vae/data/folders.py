"""A folder of images: subfolders are labels, `train` and `test` are parts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from lambda_vae.data.source import Part, Source, rows_per_chunk, split_off_test
from lambda_vae.errors import InputError

__all__ = ["SUFFIXES", "folder_source"]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})
"""Endings of the files that count as images; others are passed over."""

_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, UnidentifiedImageError, Image.DecompressionBombError)


@dataclass(frozen=True)
class _Look:
    """What the first image is, and all others must be."""

    first: Path
    shape: tuple[int, ...]


def _is_grey(image: Image.Image) -> bool:
    return image.mode in ("1", "L", "LA")


def _decode(path: Path) -> NDArray[np.uint8]:
    """Pixels [H, W] or [H, W, 3]; what is transparent is laid on white."""
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise InputError(f"{path} has {image.mode} pixels; only images of 8 bits a channel are read")
            grey = _is_grey(image)
            if not image.has_transparency_data:
                return np.asarray(image.convert("L" if grey else "RGB"))
            rgba = image.convert("RGBA")
            white = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
            return np.asarray(white.convert("L" if grey else "RGB"))
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(f"{path} is truncated or not an image ({error}); replace it or remove it") from None


def _pixels(path: Path, look: _Look) -> NDArray[np.uint8]:
    pixels = _decode(path)
    if pixels.shape != look.shape:
        raise InputError(
            f"{path} has shape {pixels.shape} and {look.first} {look.shape}; all images must have one size and one mode"
        )
    return pixels


def _images_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def _class_names(folders: Sequence[Path]) -> tuple[str, ...] | None:
    """Names of the subfolders that hold images, sorted; None if images lie beside them or there is only one class."""
    paths = [(folder, path) for folder in folders for path in _images_in(folder)]
    if any(path.parent == folder for folder, path in paths):
        return None
    names = sorted({path.relative_to(folder).parts[0] for folder, path in paths})
    return tuple(names) if len(names) > 1 else None


def _part(folder: Path, paths: list[Path], look: _Look, classes: tuple[str, ...] | None) -> Part:
    step = rows_per_chunk(int(np.prod(look.shape)))

    def chunks() -> Iterator[NDArray[Any]]:
        for start in range(0, len(paths), step):
            yield np.stack([_pixels(path, look) for path in paths[start : start + step]])

    if classes is None:
        return Part(len(paths), chunks, None)
    number = {name: index for index, name in enumerate(classes)}
    labels = np.array([number[path.relative_to(folder).parts[0]] for path in paths], dtype=np.int64)
    return Part(len(paths), chunks, labels)


def folder_source(folder: Path) -> Source:
    """All images below `folder`, in the order of their paths.

    If it holds folders `train` and `test`, these are the parts; else a test part is split off. Below that, if all
    images lie in subfolders and there is more than one, the subfolders' names are the classes.

    Args:
        folder: Where to look, at any depth.

    Returns:
        The source: [H, W] if the first image is grey, else [H, W, 3].

    Raises:
        InputError: There are no images, they differ in size or mode, or one is damaged.
    """
    apart = (folder / "train").is_dir() and (folder / "test").is_dir()
    folders = [folder / "train", folder / "test"] if apart else [folder]
    listed = [_images_in(part) for part in folders]
    if not all(listed):
        empty = folders[listed.index([])]
        raise InputError(f"{empty} holds no images ({', '.join(sorted(SUFFIXES))}) and no IDX files; check the path")
    look = _Look(listed[0][0], _decode(listed[0][0]).shape)
    classes = _class_names(folders)
    parts = [_part(part, paths, look, classes) for part, paths in zip(folders, listed, strict=True)]
    train, test = (parts[0], parts[1]) if apart else split_off_test(parts[0])
    note = "" if apart else "; a tenth split off as the test part"
    return Source("image", look.shape, train, test, f"folder of images {folder.name}{note}", classes)
