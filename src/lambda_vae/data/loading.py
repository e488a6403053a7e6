"""From a name or a path to a `Dataset`: find, check, prepare once, memory-map."""

import re
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from lambda_vae.data.cache import FORMAT, default_cache, open_prepared, store
from lambda_vae.data.celeba import celeba_source
from lambda_vae.data.cifar import cifar_source
from lambda_vae.data.corpora import corpus_lines
from lambda_vae.data.dataset import Dataset
from lambda_vae.data.digits import digits_source
from lambda_vae.data.hub import HUB, HubName, hub_source
from lambda_vae.data.idx import idx_folder_source
from lambda_vae.data.mat import mat_source
from lambda_vae.data.mixtures import mixture_source
from lambda_vae.data.named import NAMED, NamedDataset, Rendition, named
from lambda_vae.data.own import own_files, own_source, raw_sha256
from lambda_vae.data.pictures import ImageOptions
from lambda_vae.data.rawfiles import find_rendition, require
from lambda_vae.data.source import Source
from lambda_vae.data.text import sequence_source
from lambda_vae.errors import InputError
from lambda_vae.text.options import SequenceOptions

__all__ = ["load", "own_folder", "prepare", "prepared_folder"]


#: Which reading of own files this is: raised when the same files are read otherwise, so that no old reading is used.
_READING = 2


def _key(*facts: object) -> str:
    return sha256(repr((FORMAT, *facts)).encode()).hexdigest()[:12]


def _settled(row: NamedDataset, sequences: SequenceOptions | None) -> SequenceOptions | None:
    """What is done to the text of a named set; None if it is no text.

    Raises:
        InputError: Something is to be done to text that is not there.
    """
    options = sequences or SequenceOptions()
    if options.column is not None or (row.kind != "sequence" and options != SequenceOptions()):
        raise InputError(
            f"{row.name} has {'no columns' if row.kind == 'sequence' else 'no text'}; leave out "
            + ("`column`" if row.kind == "sequence" else "`tokeniser` and such")
        )
    return options.settled(row.tokeniser) if row.kind == "sequence" else None


def _folder(cache: Path, row: NamedDataset, rendition: Rendition | None, options: SequenceOptions | None) -> Path:
    hashes = [] if rendition is None else [file.sha256 or file.md5 for file in rendition.files]
    return cache / f"{row.name}-{_key(row.layout, hashes, *([options] if options else []))}"


def prepared_folder(row: NamedDataset, cache: Path, sequences: SequenceOptions | None = None) -> Path | None:
    """The prepared folder of a named set that `load` would use, or None if it has to be prepared.

    Raw files that are here decide which rendition; without any, the first prepared one counts.
    """
    found = find_rendition(row, cache)
    wanted: list[Rendition | None] = [found[0]] if found else list(row.renditions)
    options = _settled(row, sequences)
    folders = [_folder(cache, row, rendition, options) for rendition in (wanted if row.renditions else [None])]
    return next((folder for folder in folders if (folder / "meta.json").is_file()), None)


def _read(row: NamedDataset, rendition: Rendition, paths: list[Path], options: SequenceOptions | None) -> Source:
    if options is not None:
        return sequence_source(*corpus_lines(paths), options, rendition.source)
    if row.layout == "mat":
        return replace(mat_source(paths[0], rendition.source), classes=row.classes)
    if row.layout == "cifar":
        return cifar_source(paths[0] if len(paths) == 1 else paths[0].parent, rendition.source)
    if row.layout == "celeba":
        return celeba_source(paths[0], paths[1], rendition.source)
    return replace(idx_folder_source(paths[0].parent, rendition.source), classes=row.classes)


def _made_here(row: NamedDataset) -> Source:
    """A set that needs no file."""
    return mixture_source(row.name) if row.layout == "mixture" else digits_source()


def _raw_facts(paths: list[Path]) -> list[dict[str, Any]]:
    return [{"path": str(path.resolve()), "sha256": raw_sha256(path)} for path in paths]


def _prepare_named(
    row: NamedDataset, cache: Path, download: bool, mirrors: Sequence[str], sequences: SequenceOptions | None
) -> Path:
    options = _settled(row, sequences)
    if folder := prepared_folder(row, cache, sequences):
        return folder
    if not row.renditions:
        folder = _folder(cache, row, None, options)
        store(folder, row.name, _made_here(row), [])
        return folder
    rendition, paths = require(row, cache, download=download, mirrors=mirrors)
    folder = _folder(cache, row, rendition, options)
    store(folder, row.name, _read(row, rendition, paths, options), _raw_facts(paths))
    return folder


def _is_hub(name_or_path: str | Path) -> bool:
    return isinstance(name_or_path, str) and name_or_path.startswith(HUB)


def _file_facts(path: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of all files at `path`, in place of their hash: that of large files would take minutes."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def _own_name(path: Path) -> str:
    return re.sub(r"[^\w-]+", "-", path.resolve().name.split(".")[0]).strip("-") or "data"


def own_folder(
    name_or_path: str | Path, cache: Path, images: ImageOptions | None = None, sequences: SequenceOptions | None = None
) -> Path:
    """The prepared folder that belongs to the user's own file or folder as it is now; it need not exist.

    A set of the hub goes by its name alone: prepared once, it is used without the network.

    Args:
        name_or_path: A path, or hf:NAME; a word that is neither a path nor a name is taken for a misspelt name.
        cache: Folder of prepared data.
        images: What is done to image files.
        sequences: What is done to text.

    Raises:
        InputError: There is no such path.
    """
    done = list[object]([] if images in (None, ImageOptions()) else [images])
    done += [] if sequences in (None, SequenceOptions()) else [sequences]
    if _is_hub(name_or_path):
        name = HubName.of(str(name_or_path))
        facts = [] if name.path is None else _file_facts(name.path)
        return cache / f"{_own_name(Path(name.name))}-{_key('hub', _READING, name, facts, *done)}"
    path = Path(name_or_path).expanduser()
    if not path.exists():
        if isinstance(name_or_path, str) and len(path.parts) == 1 and not path.suffix:
            named(name_or_path)
        raise InputError(f"{path} does not exist; give a file, a folder or one of {', '.join(NAMED)}")
    facts = [fact for file in own_files(path) for fact in _file_facts(file)]
    return cache / f"{_own_name(path)}-{_key('own', _READING, str(path.resolve()), facts, *done)}"


def prepare(
    name_or_path: str | Path,
    *,
    cache: Path | None = None,
    download: bool = True,
    mirrors: Sequence[str] = (),
    images: ImageOptions | None = None,
    sequences: SequenceOptions | None = None,
) -> Path:
    """Prepare a data set if it is not yet prepared; returns its folder in the cache.

    Args:
        name_or_path: A name in the table (it wins over a file of that name: write `./mnist` for the file), a path, or
            hf:NAME for a Hugging Face data set.
        cache: Folder of prepared data; `LAMBDA_VAE_CACHE` or the platform's cache folder if None.
        download: Whether the network may be used.
        mirrors: Base URLs to use in place of the set's own.
        images: What is done to the image files of a folder or a Hugging Face data set.
        sequences: What is done to text.

    Returns:
        The folder, ready to be memory-mapped.

    Raises:
        InputError: Anything wrong with the name, the files, the network or the disk.
    """
    cache = default_cache() if cache is None else cache
    if isinstance(name_or_path, str) and name_or_path in NAMED:
        if images not in (None, ImageOptions()):
            raise InputError(
                f"{name_or_path} is prepared in one way only: leave out `image_size`, `image_colour` and `unfit_images`"
            )
        return _prepare_named(NAMED[name_or_path], cache, download, mirrors, sequences)
    folder = own_folder(name_or_path, cache, images, sequences)
    if (folder / "meta.json").is_file():
        return folder
    if _is_hub(name_or_path):
        if sequences not in (None, SequenceOptions()):
            raise InputError(f"{name_or_path} is read for its images; leave out `tokeniser` and such")
        name = HubName.of(str(name_or_path))
        store(folder, _own_name(Path(name.name)), hub_source(str(name_or_path), images), [], own=True)
        return folder
    path = Path(name_or_path).expanduser()
    store(folder, _own_name(path), own_source(path, images, sequences), _raw_facts([path]), own=True)
    return folder


def load(
    name_or_path: str | Path,
    *,
    cache: Path | None = None,
    download: bool = True,
    mirrors: Sequence[str] = (),
    images: ImageOptions | None = None,
    sequences: SequenceOptions | None = None,
) -> Dataset:
    """A data set, memory-mapped; prepared first if need be. Arguments and errors are those of `prepare`."""
    return open_prepared(
        prepare(name_or_path, cache=cache, download=download, mirrors=mirrors, images=images, sequences=sequences)
    )
