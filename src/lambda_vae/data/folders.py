"""A folder of images: subfolders are labels, `train` and `test` are parts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_vae.data.pictures import ImageOptions, decode
from lambda_vae.data.source import Part, Source, rows_per_chunk, split_off_test
from lambda_vae.errors import InputError

__all__ = ["SUFFIXES", "folder_source"]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})
"""Endings of the files that count as images; others are passed over."""

#: So many names of files that were left out are recorded.
_NAMED = 5


@dataclass(frozen=True)
class _Look:
    """What the first image is, and all others must be; `options` is what is done to each."""

    first: Path
    shape: tuple[int, ...]
    options: ImageOptions

    def pixels(self, path: Path) -> NDArray[np.uint8]:
        pixels = decode(path, str(path), self.options)
        if pixels.shape != self.shape:
            raise InputError(
                f"{path} has shape {pixels.shape} and {self.first} {self.shape}; all images must have one size and one "
                "mode: use --image_size 64 to crop and resize them, --image_colour rgb or grey, or --unfit_images skip"
            )
        return pixels


def _images_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def _first_look(paths: Sequence[Path], options: ImageOptions) -> _Look:
    """By the first image; by the first sound one if others are skipped."""
    for path in paths:
        try:
            return _Look(path, decode(path, str(path), options).shape, options)
        except InputError:
            if options.unfit == "refuse":
                raise
    raise InputError(f"none of the {len(paths)} images beside {paths[0]} can be read; check the path")


def _fit(look: _Look, paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The files that will do, and those left out; where none is to be left out, nothing is read yet."""
    if look.options.unfit == "refuse":
        return list(paths), []
    fit: list[Path] = []
    for path in paths:
        try:
            look.pixels(path)
        except InputError:
            continue
        fit.append(path)
    return fit, sorted(set(paths) - set(fit))


def _class_names(folders: Sequence[Path], listed: Sequence[Sequence[Path]]) -> tuple[str, ...] | None:
    """Names of the subfolders that hold images, sorted; None if images lie beside them or there is only one class."""
    paths = [(folder, path) for folder, found in zip(folders, listed, strict=True) for path in found]
    if any(path.parent == folder for folder, path in paths):
        return None
    names = sorted({path.relative_to(folder).parts[0] for folder, path in paths})
    return tuple(names) if len(names) > 1 else None


def _part(folder: Path, paths: list[Path], look: _Look, classes: tuple[str, ...] | None) -> Part:
    step = rows_per_chunk(int(np.prod(look.shape)))

    def chunks() -> Iterator[NDArray[Any]]:
        for start in range(0, len(paths), step):
            yield np.stack([look.pixels(path) for path in paths[start : start + step]])

    if classes is None:
        return Part(len(paths), chunks, None)
    number = {name: index for index, name in enumerate(classes)}
    labels = np.array([number[path.relative_to(folder).parts[0]] for path in paths], dtype=np.int64)
    return Part(len(paths), chunks, labels)


def _skipped_note(folder: Path, skipped: Sequence[Path]) -> str:
    if not skipped:
        return ""
    names = [path.relative_to(folder).as_posix() for path in skipped[:_NAMED]]
    more = "" if len(skipped) <= _NAMED else f" and {len(skipped) - _NAMED} more"
    return f"; {len(skipped)} unfit files left out: {', '.join(names)}{more}"


def folder_source(folder: Path, options: ImageOptions | None = None) -> Source:
    """All images below `folder`, in the order of their paths.

    If it holds folders `train` and `test`, these are the parts; else a test part is split off. Below that, if all
    images lie in subfolders and there is more than one, the subfolders' names are the classes.

    Args:
        folder: Where to look, at any depth.
        options: What is done to each image, and what becomes of files that will not do.

    Returns:
        The source: [H, W] if the first image is grey, else [H, W, 3].

    Raises:
        InputError: There are no images, they differ in size or mode, or one is damaged.
    """
    options = options or ImageOptions()
    apart = (folder / "train").is_dir() and (folder / "test").is_dir()
    folders = [folder / "train", folder / "test"] if apart else [folder]
    listed = [_images_in(part) for part in folders]
    if not all(listed):
        empty = folders[listed.index([])]
        raise InputError(f"{empty} holds no images ({', '.join(sorted(SUFFIXES))}) and no IDX files; check the path")
    look = _first_look(listed[0], options)
    sorted_out = [_fit(look, paths) for paths in listed]
    listed, skipped = [fit for fit, _ in sorted_out], [path for _, unfit in sorted_out for path in unfit]
    classes = _class_names(folders, listed)
    parts = [_part(part, paths, look, classes) for part, paths in zip(folders, listed, strict=True)]
    train, test = (parts[0], parts[1]) if apart else split_off_test(parts[0])
    note = options.note + ("" if apart else "; a tenth split off as the test part") + _skipped_note(folder, skipped)
    return Source("image", look.shape, train, test, f"folder of images {folder.name}{note}", classes)
