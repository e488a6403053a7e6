"""What numbers come in: arrays, tables and sparse matrices as dense tensors, a few rows at a time.

No optional package is imported; an object is known by the package that its class is from.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from lambda_vae.errors import InputError

__all__ = ["Whole", "dense", "is_named", "package_of", "whole"]

#: numpy's kinds of numbers: bool, integers, floats.
_NUMBERS = "biuf"

#: Packages whose tables and columns give themselves as numpy's.
_TABLES = ("pandas", "modin", "polars")

#: Those who hold a data set in a way that only they know how to open, and how.
_CLOSED = {
    ("polars", "LazyFrame"): "data.collect()",
    ("dask", "DataFrame"): "data.compute()",
    ("dask", "Array"): "data.compute()",
    ("pyarrow", "Table"): "data.to_pandas()",
    ("mudata", "MuData"): "data['rna'], or another of its modalities",
    ("xarray", "Dataset"): "data['name'] of one of its variables",
    ("lambda_vae", "Dataset"): "lambda_vae.any_vae.named.named_batches(name_or_path)",
}


@dataclass(frozen=True, eq=False)
class Whole:
    """A data set in one piece.

    Args:
        length: Examples.
        rows: Some of them, as the container gives them.
    """

    length: int
    rows: Callable[[slice], object]


def package_of(thing: object) -> str:
    """Return the package that a thing's class is from."""
    return type(thing).__module__.partition(".")[0]


def whole(data: Any) -> Whole | None:  # noqa: ANN401 - any container
    """Return a data set that comes in one piece, ready to be cut; None for batches, or for what is no data.

    Raises:
        InputError: It must be opened by another call first, or its parts do not belong together.
    """
    opened = _CLOSED.get((package_of(data), type(data).__name__))
    if opened is not None:
        raise InputError(f"data is a {type(data).__name__} of {package_of(data)}; give {opened}")
    if isinstance(data, Tensor):
        return _whole_tensor(data)
    package = package_of(data)
    if package == "anndata" and hasattr(data, "X"):
        if data.X is None:
            raise InputError(f"data is a {type(data).__name__} whose X is None; give data.layers[name]")
        return whole(data.X)
    if package == "scipy" and hasattr(data, "tocsr"):
        return Whole(data.shape[0], data.tocsr().__getitem__)
    if package in _TABLES and hasattr(data, "to_numpy"):
        return Whole(len(data), data.iloc.__getitem__ if hasattr(data, "iloc") else data.__getitem__)
    if package == "datasets" and hasattr(data, "with_format"):
        return Whole(len(data), data.with_format("torch").__getitem__)
    if package == "tensordict":
        if not len(data.batch_size):
            raise InputError("data is a TensorDict without a batch size; say data.auto_batch_size_() before")
        return Whole(len(data), data.__getitem__)
    if isinstance(data, Mapping):
        return _whole_mapping(data)
    shape: Any = getattr(data, "shape", ())
    if hasattr(data, "dtype") and len(shape):
        return Whole(shape[0], data.__getitem__)  # numpy, or whoever looks like it: h5py, zarr, jax
    return None


def is_named(part: object) -> bool:
    """Return whether a batch holds its parts by name."""
    return isinstance(part, Mapping) or package_of(part) == "tensordict"


def _whole_tensor(data: Tensor) -> Whole:
    if data.is_nested:
        raise InputError("data is a nested tensor; give data.to_padded_tensor(0.0), or a list of batches")
    if not data.dim():
        raise InputError(f"data is a single number, {data}; give a tensor with the examples along its first axis")
    if data.layout == torch.strided:
        return Whole(len(data), data.__getitem__)
    rows: Tensor = data if data.layout == torch.sparse_coo else data.to_dense().to_sparse()

    def some(index: slice) -> Tensor:
        return rows.index_select(0, torch.arange(index.start, index.stop, device=rows.device)).to_dense()

    return Whole(len(data), some)


def _whole_mapping(data: Mapping[str, Any]) -> Whole:
    parts = {
        name: Whole(len(part), part.__getitem__) if isinstance(part, list) else whole(part)
        for name, part in data.items()
    }
    held = {name: part for name, part in parts.items() if part is not None}
    lengths = {part.length for part in held.values()}
    if len(lengths) != 1:
        known = ", ".join(f"{name!r}: {part.length}" for name, part in held.items())
        raise InputError(
            f"data is a {type(data).__name__} with {'the lengths ' + known if known else 'no arrays'}; its values must "
            "be arrays with the examples along the first axis, as many in each"
        )
    shared = {name: part for name, part in data.items() if name not in held}

    def some(index: slice) -> dict[str, object]:
        return {**shared, **{name: part.rows(index) for name, part in held.items()}}

    return Whole(lengths.pop(), some)


def dense(name: str, part: Any) -> Tensor | None:  # noqa: ANN401 - any container
    """Return numbers as a dense tensor; None for what holds none.

    Raises:
        InputError: It holds something else than numbers, or masked ones.
    """
    if isinstance(part, Tensor):
        return _dense_tensor(name, part)
    package = package_of(part)
    if package == "anndata" and hasattr(part, "X"):
        return dense(name, part.X)
    if package == "scipy" and hasattr(part, "toarray"):
        return dense(name, part.toarray())
    if package in _TABLES and hasattr(part, "to_numpy"):
        return _table(name, part)
    if isinstance(part, np.ma.MaskedArray):
        if np.ma.is_masked(part):
            raise InputError(
                f"{name} is a masked array, and {int(np.ma.getmaskarray(part).sum())} of {part.size} numbers are "
                "masked; fill them, data.filled(0.0), and leave them out of the likelihood"
            )
        part = part.data
    if not isinstance(part, np.ndarray):
        if not (hasattr(part, "shape") and hasattr(part, "dtype")):
            return None
        try:
            part = np.asarray(part)
        except TypeError as error:
            raise InputError(f"{name} is a {type(part).__name__} of {package}, of which numpy says: {error}") from None
    return _array(name, part)


def _dense_tensor(name: str, part: Tensor) -> Tensor:
    if part.is_nested:
        raise InputError(f"{name} is a nested tensor; give its .to_padded_tensor(0.0)")
    if part.is_complex():
        raise InputError(f"{name} is complex; give torch.view_as_real({name}), if its parts are what the model takes")
    if part.is_quantized:
        return part.dequantize()
    return part if part.layout == torch.strided else part.to_dense()


def _array(name: str, part: Shaped[np.ndarray, "..."]) -> Tensor:
    if part.dtype.kind not in _NUMBERS:
        raise InputError(
            f"{name} is an array of {part.dtype.name}; it must be of numbers: `.astype('float32')`, if that is what "
            "its entries are"
        )
    kinds = {
        "u": np.uint8 if part.dtype.itemsize == 1 else np.int64,
        "f": np.float64 if part.dtype.itemsize > 8 else None,
    }
    kind = kinds.get(part.dtype.kind) or part.dtype.newbyteorder("=")
    # torch takes no array that is read-only, and sums one that runs otherwise in another order.
    return torch.from_numpy(part.astype(kind, order="C", copy=not part.flags.writeable))


def _table(name: str, part: Any) -> Tensor:  # noqa: ANN401 - of pandas or polars
    columns = list(getattr(part, "columns", ())) or [getattr(part, "name", None)]
    kinds = list(part.dtypes) if len(getattr(part, "columns", ())) else [part.dtype]
    text = [column for column, kind in zip(columns, kinds, strict=True) if not _numeric(kind)]
    if text:
        raise InputError(
            f"{name} is a {type(part).__name__} whose column {text[0]!r} holds {kinds[columns.index(text[0])]}; give "
            "numbers alone: leave it out, or one column a category"
        )
    values = part.to_numpy()
    if values.dtype.kind not in _NUMBERS:  # numbers of several kinds, or with gaps
        values = part.to_numpy(dtype=np.float64, na_value=np.nan)
    return _array(name, values)


def _numeric(kind: Any) -> bool:  # noqa: ANN401 - of pandas or polars
    if hasattr(kind, "is_numeric"):  # polars
        return bool(kind.is_numeric()) or str(kind) == "Boolean"
    return getattr(kind, "kind", "O") in _NUMBERS
