"""A folder of images: subfolders are labels; `train`, `test` and `val` are parts."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_vae.data.pictures import ImageOptions, decode
from lambda_vae.data.source import Part, Source, listed, part_named, rows_per_chunk, split_off_test
from lambda_vae.errors import InputError

__all__ = ["SUFFIXES", "folder_source"]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})
"""Endings of the files that count as images; others are passed over."""


@dataclass(frozen=True)
class _Format:
    """The shape of the first image, which all others must have; `options` is applied to each."""

    first: Path
    shape: tuple[int, ...]
    options: ImageOptions

    def pixels(self, path: Path) -> NDArray[np.uint8]:
        pixels = decode(path, str(path), self.options)
        if pixels.shape != self.shape:
            raise InputError(
                f"{path} has shape {pixels.shape} and {self.first} {self.shape}; all images must have one size and one "
                "mode: use `image_size=64` to crop and resize them, `image_colour=rgb` or grey, or `unfit_images=skip`"
            )
        return pixels


@dataclass(frozen=True)
class _Found:
    """The images below a folder, and a note on its other files."""

    images: list[Path]
    note: str


def _find(folder: Path) -> _Found:
    """All images at any depth; what is hidden, as `.ipynb_checkpoints`, and other files are counted, not read."""
    images: list[Path] = []
    others: Counter[str] = Counter()
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and path.is_file():
            if hidden:
                others["hidden images"] += 1
            else:
                images.append(path)
        elif path.is_file() and not hidden:
            others[path.suffix.lower() or "without ending"] += 1
    kinds = [f"{kind} {count}" for kind, count in others.most_common()]
    return _Found(images, f"; other files not read: {listed(kinds)}" if kinds else "")


@dataclass(frozen=True)
class _Layout:
    """Which folders are the parts: `test` is None where a part is to be split off; `note` says what was decided."""

    train: Path
    test: Path | None
    note: str


def _holder(folder: Path, images: Sequence[Path]) -> Path:
    """The folder of the parts: `folder`, or the only folder in it that has images, if it holds parts."""
    inner = folder
    while len(tops := {path.relative_to(inner).parts[0] for path in images}) == 1:
        (top,) = tops
        if part_named(top):
            return inner
        inner = inner / top
        if inner in images:
            return folder
    return inner if any(map(part_named, tops)) else folder


def _refuse_parts_below(folder: Path, images: Sequence[Path]) -> None:
    """Raise where the folders in the folder hold parts each, which would be trained on together."""
    below: dict[str, str] = {}
    for path in images:
        places = path.relative_to(folder).parts[:-1]
        for depth, name in enumerate(places[1:], 2):
            if part := part_named(name):
                below.setdefault(part, "/".join(places[:depth]))
    if len(below) > 1:
        raise InputError(
            f"{folder} holds parts below other folders, {' and '.join(sorted(below.values()))}; give one of these "
            "folders, or put the parts on top, as train/CLASS and test/CLASS"
        )


def _layout(folder: Path, images: Sequence[Path]) -> _Layout:
    """The parts by the names of the subfolders with images, in either case.

    A folder `train` is a part if a test or validation part stands next to it, or nothing, or if it holds folders
    itself; among other folders of images it is a class, of trains.
    """
    tops: dict[str, bool] = {}  # whether images lie in folders below
    loose = False
    for path in images:
        top, *rest = path.relative_to(folder).parts
        loose = loose or not rest
        if rest:
            tops[top] = tops.get(top, True) and len(rest) > 1
    parts: dict[str, list[str]] = {}
    for top in tops:
        if part := part_named(top):
            parts.setdefault(part, []).append(top)
    train = parts.get("train", [])
    if not train and len(parts) > 1:
        raise InputError(f"{folder} holds the parts {' and '.join(sorted(tops))} and no train; add or rename one")
    if not train or not (len(parts) > 1 or tops[train[0]] or (list(tops) == train and not loose)):
        _refuse_parts_below(folder, images)
        return _Layout(folder, None, "; a tenth split off as the test part")
    held = parts.get("test") or parts.get("validation") or []
    if len(train) > 1 or len(held) > 1:
        raise InputError(f"{folder} holds {' and '.join(train if len(train) > 1 else held)}; leave one of them")
    unread = [f"folder {top}" for top in sorted(tops) if top not in (*train, *held)] + ["loose images"] * loose
    note = f"; {held[0]} is the test part" if held and held[0].lower() != "test" else ""
    note += "" if held else "; a tenth split off as the test part"
    note += f"; not read: {listed(unread)}" if unread else ""
    return _Layout(folder / train[0], folder / held[0] if held else None, note)


def _first_format(paths: Sequence[Path], options: ImageOptions) -> _Format:
    """By the first image; by the first sound one if others are skipped."""
    for path in paths:
        try:
            return _Format(path, decode(path, str(path), options).shape, options)
        except InputError:
            if options.unfit == "refuse":
                raise
    raise InputError(f"none of the {len(paths)} images next to {paths[0]} can be read; check the path")


def _fit(form: _Format, paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The files that will do, and those left out; where none is to be left out, nothing is read yet."""
    if form.options.unfit == "refuse":
        return list(paths), []
    fit: list[Path] = []
    for path in paths:
        try:
            form.pixels(path)
        except InputError:
            continue
        fit.append(path)
    return fit, sorted(set(paths) - set(fit))


def _class_names(listed: Mapping[Path, Sequence[Path]]) -> tuple[str, ...] | None:
    """Names of the subfolders with images, in parts that hold no images of their own; None if there is only one."""
    names: set[str] = set()
    for folder, paths in listed.items():
        if all(path.parent != folder for path in paths):
            names |= {path.relative_to(folder).parts[0] for path in paths}
    return tuple(sorted(names)) if len(names) > 1 else None


def _part(folder: Path, paths: list[Path], form: _Format, classes: tuple[str, ...] | None) -> Part:
    step = rows_per_chunk(int(np.prod(form.shape)))

    def chunks() -> Iterator[NDArray[Any]]:
        for start in range(0, len(paths), step):
            yield np.stack([form.pixels(path) for path in paths[start : start + step]])

    if classes is None or any(path.parent == folder for path in paths):
        return Part(len(paths), chunks, None)
    number = {name: index for index, name in enumerate(classes)}
    labels = np.array([number[path.relative_to(folder).parts[0]] for path in paths], dtype=np.int64)
    return Part(len(paths), chunks, labels)


def _skipped_note(folder: Path, skipped: Sequence[Path]) -> str:
    names = [path.relative_to(folder).as_posix() for path in skipped]
    return f"; {len(skipped)} unfit files left out: {listed(names)}" if skipped else ""


def folder_source(folder: Path, options: ImageOptions | None = None) -> Source:
    """All images below `folder`, in the order of their paths.

    If it holds folders `train` and `test`, these are the parts (`training`, `testing`, in either case); `val`,
    `valid`, `validation`, `dev` or `holdout` stands in for a test part that is missing, else it is not read. Without
    either a test part is split off. Below that, if all images lie in subfolders and there is more than one, the
    subfolders' names are the classes.

    Returns:
        The source: [H, W] if the first image is grey, else [H, W, 3]; its words say what was not read.

    Raises:
        InputError: There are no images, they differ in size or mode, or one is damaged; or there are two training or
            test parts.
    """
    options = options or ImageOptions()
    found = _find(folder)
    if not found.images:
        raise InputError(
            f"{folder} holds no images ({', '.join(sorted(SUFFIXES))}) and no IDX files of MNIST's names{found.note}; "
            "give the path of a file, or check it"
        )
    layout = _layout(_holder(folder, found.images), found.images)
    folders = [layout.train] if layout.test is None else [layout.train, layout.test]
    form = _first_format([path for path in found.images if path.is_relative_to(layout.train)], options)
    images: dict[Path, list[Path]] = {}
    skipped: list[Path] = []
    for part in folders:
        images[part], unfit = _fit(form, [path for path in found.images if path.is_relative_to(part)])
        skipped += unfit
    classes = _class_names(images)
    parts = [_part(part, paths, form, classes) for part, paths in images.items()]
    train, test = (parts[0], parts[1]) if layout.test else split_off_test(parts[0])
    note = (
        options.note
        + layout.note
        + (f"; {len(classes)} classes: {listed(classes)}" if classes else "")
        + _skipped_note(folder, skipped)
        + found.note
    )
    return Source("image", form.shape, train, test, f"folder of images {folder.name}{note}", classes)
