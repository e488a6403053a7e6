"""Parquet files as tables, through pyarrow where it is installed."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lambda_vae.data.source import Source
from lambda_vae.data.tables import Column, Table, table_source
from lambda_vae.errors import InputError

__all__ = ["open_parquet", "parquet_source"]

_ROWS = 4096


def _column(values: Any, kind: Any, types: Any) -> Column:  # noqa: ANN401 - an Array and a DataType of pyarrow
    missing = np.asarray(values.is_null(nan_is_null=True).to_numpy(zero_copy_only=False), dtype=np.bool_)
    if types.is_dictionary(kind):
        values, kind = values.cast(kind.value_type), kind.value_type
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind):
        return Column(values.cast("float64", safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False), missing)
    if types.is_string(kind) or types.is_large_string(kind):
        return Column(np.array([str(value) for value in values.to_pylist()]), missing)
    return Column(np.array([str(kind)] * len(values)), missing)


def open_parquet(path: Path) -> Any:  # noqa: ANN401 - a ParquetFile of pyarrow
    """The file, opened; nothing but its schema is read.

    Raises:
        InputError: pyarrow is not installed, or the file is damaged.
    """
    try:
        from pyarrow import parquet
    except ImportError:
        raise InputError(
            f"{path} needs the package pyarrow; pip install 'lambda-vae[table]', or save it as .csv"
        ) from None
    try:
        return parquet.ParquetFile(path)
    except Exception as error:  # pyarrow raises whatever its reader stumbles over
        raise InputError(f"{path} is not a readable Parquet file ({error}); save it again") from None


def parquet_source(path: Path) -> Source:
    """The numeric columns of a Parquet file as vectors, see `table_source`.

    Raises:
        InputError: pyarrow is not installed, or the file is damaged, or as `table_source`.
    """
    schema = open_parquet(path).schema_arrow
    from pyarrow import types  # it is there: `open_parquet` has used it

    def chunks() -> Iterator[Sequence[Column]]:
        try:
            for batch in open_parquet(path).iter_batches(batch_size=_ROWS):
                if batch.num_rows:
                    columns = zip(batch.columns, schema.types, strict=True)
                    yield [_column(values, kind, types) for values, kind in columns]
        except Exception as error:
            raise InputError(f"{path} is damaged ({' '.join(str(error).split())}); save it again") from None

    table = f"pandas.get_dummies(pandas.read_parquet({path.name!r}), dtype=float)"
    remedy = (
        "name one label to have labels, leave them out, read text as sequences by its `column`, or one-hot encode: "
        f"{table}.to_parquet('numbers.parquet')"
        f"; images are read as hf:{path.name}, lists as numpy.stack(column) in an .npy"
    )
    return table_source(Table(str(path), f"table {path.name}", list(schema.names), chunks, remedy))
