"""Hugging Face data sets: from the hub, or local Parquet, Arrow, saved sets and folders of images."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_vae.data.pictures import ImageOptions, decode
from lambda_vae.data.source import Part, Source, listed, rows_per_chunk, split_off_test
from lambda_vae.errors import InputError

__all__ = ["HUB", "HubName", "hub_source"]

HUB = "hf:"
"""What a name begins with that is one of a Hugging Face data set."""

_TEST_SPLITS = ("test", "validation", "valid", "val", "dev")


@dataclass(frozen=True)
class HubName:
    """Which data set, as typed: hf:NAME, hf:NAME@CONFIG, or hf:PATH.

    Args:
        name: On the hub, or a path.
        config: One of several the set has; None for its only one.

    Example:
        >>> HubName.of("hf:owner/set@full")
        HubName(name='owner/set', config='full')
    """

    name: str
    config: str | None = None

    @classmethod
    def of(cls, typed: str) -> "HubName":
        """Return what the words after `hf:` say.

        Raises:
            InputError: Nothing follows it.
        """
        name, _, config = typed.removeprefix(HUB).partition("@")
        if not name:
            raise InputError(f"data is {typed!r}; a name or a path must follow, such as hf:owner/name")
        return cls(name, config or None)

    @property
    def path(self) -> Path | None:
        """Where it lies, if it is local."""
        path = Path(self.name).expanduser()
        return path if path.exists() else None


def _open(name: HubName) -> Any:  # noqa: ANN401 - a Dataset or DatasetDict of the extra
    """The data set as its library gives it; no code of the set's own is ever run."""
    try:
        import datasets
    except ImportError:
        raise InputError(f"{HUB}{name.name} needs the package datasets; pip install 'lambda-vae[hf]'") from None
    path = name.path
    try:
        if path is None:
            return datasets.load_dataset(name.name, name.config)
        if path.is_file():
            kind = {".parquet": "parquet", ".arrow": "arrow"}.get(path.suffix)
            if kind is None:
                raise InputError(f"{path} is neither .parquet nor .arrow nor a folder; convert it to one")
            return datasets.load_dataset(kind, data_files=str(path))
        if (path / "state.json").exists() or (path / "dataset_dict.json").exists():
            return datasets.load_from_disk(str(path))
        return datasets.load_dataset(str(path), name.config)
    except InputError:
        raise
    except Exception as error:  # the library raises whatever its readers stumble over
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{HUB}{name.name} could not be loaded ({type(error).__name__}: {reason})") from None


def _columns(features: Mapping[str, Any], where: str) -> tuple[str, str | None]:
    """The first column of images, and the first of class labels."""
    kinds = {column: type(feature).__name__ for column, feature in features.items()}
    images = [column for column, kind in kinds.items() if kind == "Image"]
    if not images:
        there = ", ".join(f"{column} ({kind})" for column, kind in kinds.items())
        raise InputError(f"{where} has the columns {there}; it needs one of images")
    return images[0], next((column for column, kind in kinds.items() if kind == "ClassLabel"), None)


@dataclass(frozen=True, eq=False)
class _Table:
    """One split, its images undecoded; `where` names it in messages."""

    where: str
    rows: Any
    image: str
    label: str | None
    options: ImageOptions

    def pixels(self, index: int, entry: Mapping[str, Any] | None) -> NDArray[np.uint8]:
        where = f"{self.where}, row {index},"
        entry = entry or {}
        if entry.get("bytes") is None and not entry.get("path"):
            raise InputError(f"{where} holds no image; leave it out, or use `unfit_images=skip`")
        data = Path(entry["path"]) if entry.get("bytes") is None else bytes(entry["bytes"])
        return decode(data, where, self.options)

    def images(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Each row's number and pixels; what cannot be read is passed over if so asked."""
        for index, entry in enumerate(self.rows[self.image]):
            try:
                yield index, self.pixels(index, entry)
            except InputError:
                if self.options.unfit == "refuse":
                    raise

    def part(self, shape: tuple[int, ...]) -> tuple[Part, int]:
        """The split as a part, and how many rows are left out."""
        keep = self._fitting(shape)
        step = rows_per_chunk(int(np.prod(shape)))

        def chunks() -> Iterator[NDArray[Any]]:
            held: list[NDArray[np.uint8]] = []
            for index, pixels in self.images():
                if pixels.shape == shape:
                    held.append(pixels)
                elif self.options.unfit == "refuse":
                    raise InputError(
                        f"{self.where}, row {index}, has shape {pixels.shape} and the first one {shape}; use "
                        "`image_size=64` to crop and resize them, `image_colour=rgb` or grey, or `unfit_images=skip`"
                    )
                if len(held) == step:
                    yield np.stack(held)
                    held = []
            if held:
                yield np.stack(held)

        labels = None if self.label is None else np.array(self.rows[self.label], dtype=np.int64)[keep]
        return Part(len(keep), chunks, labels), len(self.rows) - len(keep)

    def _fitting(self, shape: tuple[int, ...]) -> NDArray[np.int64]:
        if self.options.unfit == "refuse":
            return np.arange(len(self.rows))
        return np.array([index for index, pixels in self.images() if pixels.shape == shape], dtype=np.int64)


def _tables(typed: str, options: ImageOptions) -> tuple[list[_Table], tuple[str, ...] | None, str]:
    """Training and test part, the classes, and in words what was not read."""
    found = _open(HubName.of(typed))
    import datasets  # it is there: `_open` has used it

    splits = dict(found) if isinstance(found, dict) else {"train": found}
    test = next((name for name in _TEST_SPLITS if name in splits), None)
    train = "train" if "train" in splits else next(iter(splits))
    names = [train] if test in (None, train) else [train, test]
    image, label = _columns(splits[train].features, typed)
    classes = None if label is None else tuple(map(str, splits[train].features[label].names))
    undecoded = {name: splits[name].cast_column(image, datasets.Image(decode=False)) for name in names if name}
    unread = [f"split {name}" for name in splits if name not in names]
    unread += [f"column {column}" for column in splits[train].features if column not in (image, label)]
    note = f"; {test} is the test part" if len(names) > 1 and test != "test" else ""
    note += f"; not read: {listed(unread, 12)}" if unread else ""
    return [_Table(f"{typed}, {name}", rows, image, label, options) for name, rows in undecoded.items()], classes, note


def hub_source(typed: str, options: ImageOptions | None = None) -> Source:
    """A Hugging Face data set of images, from its first Image column, with the labels of its first ClassLabel column.

    `train` and `test` (else `validation`) are the parts; without such a split a test part is split off.

    Args:
        typed: hf:NAME, hf:NAME@CONFIG or hf:PATH: a .parquet or .arrow file, a folder that `save_to_disk` wrote, or one
            that the library's imagefolder reads.
        options: What is done to each image, and what becomes of rows that will not do.

    Returns:
        The source.

    Raises:
        InputError: The package is not installed, the set cannot be loaded or has no images, or a row will not do.
    """
    options = options or ImageOptions()
    tables, classes, unread = _tables(typed, options)
    first = next(tables[0].images(), None)
    if first is None:
        raise InputError(f"{tables[0].where} has no row that can be read; check the name")
    parts, skipped = zip(*(table.part(first[1].shape) for table in tables), strict=True)
    train, test = parts if len(parts) == 2 else split_off_test(parts[0])
    note = options.note + ("" if len(parts) == 2 else "; a tenth split off as the test part")
    note += unread
    note += f"; {sum(skipped)} unfit rows left out" if sum(skipped) else ""
    return Source("image", first[1].shape, train, test, f"Hugging Face data set {typed}{note}", classes)
