"""One column of a table as lines of text."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from lambda_vae.checked import check_known
from lambda_vae.data.lines import Lines
from lambda_vae.data.parquet import open_parquet
from lambda_vae.data.separated import separated_rows
from lambda_vae.errors import InputError

__all__ = ["column_lines"]

_ROWS = 4096


def _one_line(cell: object) -> str:
    """The text of a cell; line breaks in it become blanks."""
    return "" if cell is None else " ".join(str(cell).splitlines())


def column_lines(path: Path, column: str) -> Lines:
    """The texts in one column of a CSV, TSV or Parquet file; empty cells are empty lines.

    Args:
        path: The file.
        column: Its name; of files without a header "column 1" and so on.

    Raises:
        InputError: There is no such column, or the file is damaged, or pyarrow is needed and not there.
    """
    if path.suffix.lower() == ".parquet":
        return _parquet_lines(path, column)
    names, rows = separated_rows(path)
    check_known(f"column of {path.name}", column, names, "it has")
    place = names.index(column)

    def blocks() -> Iterator[list[str]]:
        numbered = rows()
        while block := list(islice(numbered, _ROWS)):
            for line, row in block:
                if len(row) != len(names):
                    raise InputError(
                        f"{path}, line {line}, has {len(row)} cells where the first has {len(names)}; mend it"
                    )
            yield [_one_line(row[place]) for _, row in block]

    return Lines(str(path), blocks)


def _parquet_lines(path: Path, column: str) -> Lines:
    names = list(open_parquet(path).schema_arrow.names)
    check_known(f"column of {path.name}", column, names, "it has")

    def blocks() -> Iterator[list[str]]:
        try:
            for batch in open_parquet(path).iter_batches(batch_size=_ROWS, columns=[column]):
                yield [_one_line(cell) for cell in batch.column(0).to_pylist()]
        except InputError:
            raise
        except Exception as error:  # pyarrow raises whatever its reader stumbles over
            raise InputError(f"{path} is damaged ({' '.join(str(error).split())}); save it again") from None

    return Lines(str(path), blocks)
