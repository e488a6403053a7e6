"""The user's own data: the reader of a path, and the files that belong to it."""

import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from lambda_vae.data.archives import npz_source
from lambda_vae.data.arrays import npy_source
from lambda_vae.data.cifar import CIFAR_BATCHES, cifar_source, is_cifar
from lambda_vae.data.columns import column_lines
from lambda_vae.data.folders import SUFFIXES, folder_source
from lambda_vae.data.idx import IDX_NAMES, idx_folder_source, idx_source, is_idx, labels_beside, named_file
from lambda_vae.data.lines import Lines, first_fields, text_lines, unless_numbers
from lambda_vae.data.mat import mat_source
from lambda_vae.data.parquet import parquet_source
from lambda_vae.data.pictures import ImageOptions
from lambda_vae.data.rawfiles import content_sha256
from lambda_vae.data.separated import separated_source
from lambda_vae.data.source import Source
from lambda_vae.data.text import sequence_source
from lambda_vae.errors import InputError
from lambda_vae.text.options import SequenceOptions

__all__ = ["own_files", "own_source", "raw_sha256"]


_READERS: dict[str, Callable[[Path], Source]] = {
    ".npz": npz_source,
    ".npy": npy_source,
    ".mat": mat_source,
    ".csv": separated_source,
    ".tsv": separated_source,
    ".parquet": parquet_source,
}

#: Text files, one sequence a line, and the tokeniser that suits them.
_TEXT = {".txt": "characters", ".smi": "smiles"}

#: What a validation part is called, which serves as the test part if there is none.
_VALIDATION = ("valid", "validation", "val", "dev")

#: Other endings, and how what bears them is brought into one that is read.
_OTHERS = {
    (".h5", ".hdf5", ".h5ad", ".nc"): "take the array out of it: numpy.save('x.npy', h5py.File(path)[KEY][:])",
    (".pt", ".pth", ".pkl", ".pickle", ".joblib"): "it may hold code and is never loaded: numpy.save('x.npy', x)",
    (".zip", ".tar", ".tgz", ".gz", ".xz", ".bz2", ".7z"): "unpack it and give what is in it",
    (".xlsx", ".xls", ".ods", ".feather", ".jsonl", ".json"): "save its numbers as .csv or .parquet",
    (".arrow",): "for images hf:PATH reads it",
    (".dat",): "a table of numbers is read under the name .csv",
    (".png", ".jpg", ".jpeg", ".tif", ".tiff"): "give the folder that the images are in",
}


def _idx_files(folder: Path) -> list[Path]:
    return [path for part in IDX_NAMES.values() for name in part if (path := named_file(folder, name))]


def own_files(path: Path) -> list[Path]:
    """The files that the data depend on: one file (with its labels), or all that are read in a folder."""
    if path.is_dir() and is_cifar(path):
        return [path / name for name in CIFAR_BATCHES]
    if path.is_dir():
        images = (file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        return _idx_files(path) or sorted(images)
    beside = labels_beside(path) if is_idx(path) else _test_part(path)
    return [path] if beside is None else [path, beside]


def _test_part(path: Path) -> Path | None:
    """NAME.test.txt next to NAME.train.txt, or test.txt next to train.txt, or a validation part of such a name."""
    if _suffix(path) not in _TEXT:
        return None
    names = (re.sub(r"(^|[._-])train(?=\.)", rf"\1{part}", path.name) for part in ("test", *_VALIDATION))
    return next((found for name in names if name != path.name and (found := path.with_name(name)).is_file()), None)


def _is_text(path: Path, options: SequenceOptions) -> bool:
    return not path.is_dir() and (_suffix(path) in _TEXT or options.column is not None)


def _lines(path: Path, options: SequenceOptions) -> Lines:
    if options.column is not None:
        if _suffix(path) not in (".csv", ".tsv", ".parquet"):
            raise InputError(f"{path} has no columns, and `column={options.column}` was asked for; leave it out")
        return column_lines(path, options.column)
    if _suffix(path) == ".smi":
        return first_fields(text_lines(path))
    return text_lines(path) if options.tokeniser else unless_numbers(text_lines(path))


def _text_source(path: Path, options: SequenceOptions) -> Source:
    settled = options.settled(_TEXT.get(_suffix(path), "characters"))
    test = _test_part(path)
    title = path.name if options.column is None else f"column {options.column} of {path.name}"
    title += f", with {test.name} as the test part" if test else ""
    return sequence_source(_lines(path, options), _lines(test, options) if test else None, settled, title)


def own_source(path: Path, images: ImageOptions | None = None, sequences: SequenceOptions | None = None) -> Source:
    """The data at `path`: arrays, a table, IDX, CIFAR-10, a folder of images, text, or a column of text in a table.

    Raises:
        InputError: The ending is none of these, or the reader refuses the content; or something is to be done to images
            that lie in one array, where it is too late, or to sequences where there are none.
    """
    options = sequences or SequenceOptions()
    if _is_text(path, options):
        return _text_source(path, options)
    if options != SequenceOptions():
        raise InputError(
            f"{path} is no text; leave out `tokeniser` and such, or name the `column` of a table that has the sequences"
        )
    if path.is_dir() and not is_cifar(path) and not _idx_files(path):
        return folder_source(path, images)
    if images not in (None, ImageOptions()):
        raise InputError(
            f"{path} holds arrays, where no image can be cropped or skipped; leave out `image_size` and such"
        )
    if is_cifar(path):
        return cifar_source(path)
    if path.is_dir():
        return idx_folder_source(path)
    if is_idx(path):
        return idx_source(path)
    suffix = _suffix(path)
    if suffix not in _READERS:
        raise InputError(
            f"{path} is none of {', '.join([*_READERS, *_TEXT])}, IDX (-ubyte, -ubyte.gz), cifar-10-binary.tar.gz and "
            "a folder; " + next((hint for endings, hint in _OTHERS.items() if suffix in endings), "convert it to one")
        )
    return _READERS[suffix](path)


def _suffix(path: Path) -> str:
    """The ending that decides on the reader; a table may be compressed."""
    names = [suffix.lower() for suffix in path.suffixes]
    if names[-1:] and names[-1] in (".gz", ".xz", ".bz2") and names[-2:-1] and names[-2] in (".csv", ".tsv", *_TEXT):
        return names[-2]
    return names[-1] if names else ""


def raw_sha256(path: Path) -> str:
    """SHA-256 of a file's uncompressed content, or of names and contents of all that `own_files` gives.

    Raises:
        InputError: Something is missing or damaged.
    """
    if path.is_file():
        return content_sha256(path)
    digest = sha256()
    for file in own_files(path):
        digest.update(f"{file.relative_to(path).as_posix()} {content_sha256(file)}\n".encode())
    return digest.hexdigest()
