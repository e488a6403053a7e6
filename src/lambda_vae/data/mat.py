"""Burda et al.'s MATLAB layout of OMNIGLOT: one image a column, each column-major."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_vae.data.source import Part, Source, listed
from lambda_vae.errors import InputError

__all__ = ["mat_sha256", "mat_source"]

_KEYS = ("data", "testdata", "target", "testtarget")


def _load(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat  # slow to import, and needed only here

    try:
        content: dict[str, Any] = loadmat(path, variable_names=_KEYS)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except NotImplementedError:
        raise InputError(f"{path} is of MATLAB 7.3; save it again with save(..., '-v7'), or as .npy") from None
    except Exception as error:  # scipy raises whatever its parser stumbles over
        raise InputError(f"{path} is not a readable MATLAB v5 file ({error}); fetch it again") from None
    return content


def _dense(variable: Any) -> Any:  # noqa: ANN401 - an array, a sparse matrix or None
    return variable.toarray() if hasattr(variable, "toarray") else variable


def _all_variables(path: Path) -> list[tuple[str, str]]:
    """The name of each variable, and the name with its shape."""
    from scipy.io import whosmat

    return [(name, f"{name} {shape}") for name, shape, _ in whosmat(path)]


def _images(path: Path, key: str, content: dict[str, Any]) -> NDArray[np.uint8]:
    data = _dense(content.get(key))
    if data is None or data.ndim != 2 or data.shape[0] != 784 or data.dtype.kind not in "fiu":
        found = "absent" if data is None else f"{data.dtype} {data.shape}"
        raise InputError(
            f"{path}: {key!r} is {found}; the layout needs numbers of shape (784, N), and the file holds "
            f"{listed([said for _, said in _all_variables(path)], 12)}: for another, with the examples along the first "
            "axis, numpy.save('x.npy', scipy.io.loadmat(path)[NAME])"
        )
    if not (np.isfinite(data).all() and data.min(initial=0) >= 0 and data.max(initial=0) <= 1):
        raise InputError(f"{path}: {key!r} has values outside [0, 1]; scale them to it")
    grey = np.rint(data * 255).astype(np.uint8)
    return np.ascontiguousarray(grey.T.reshape(-1, 28, 28).transpose(0, 2, 1))


def _part(path: Path, prefix: str, content: dict[str, Any]) -> Part:
    images = _images(path, f"{prefix}data", content)
    target = _dense(content.get(f"{prefix}target"))
    labels = None
    if target is not None:
        if target.ndim != 2 or target.shape[1] != len(images) or target.dtype.kind not in "fiub":
            raise InputError(f"{path}: {prefix}target is {target.shape}; it must be one-hot, (classes, {len(images)})")
        labels = target.argmax(axis=0).astype(np.int64)
    return Part.of(images, labels)


def mat_source(path: Path, source: str = "") -> Source:
    """A file in the layout of `chardata.mat`: `data` and `testdata` (784, N), `target` and `testtarget` one-hot.

    Values in [0, 1] become `rint(255 x)`; labels are the alphabets.

    Raises:
        InputError: The file is damaged or has another layout.
    """
    content = _load(path)
    train, test = _part(path, "", content), _part(path, "test", content)
    unread = [] if source else [said for name, said in _all_variables(path) if name not in _KEYS]
    note = f"MATLAB file {path.name}, rounded to k/255" + (f"; not read: {listed(unread)}" if unread else "")
    return Source("image", (28, 28), train, test, source or note)


def mat_sha256(path: Path) -> str:
    """SHA-256 of the images and labels in the file, whoever wrote it, and compressed or not.

    Raises:
        InputError: As `mat_source`.
    """
    source, digest = mat_source(path), sha256()
    for part in (source.train, source.test):
        for chunk in part.chunks():
            digest.update(chunk.data)
        digest.update(b"" if part.labels is None else part.labels.astype("<i8").data)
    return digest.hexdigest()
