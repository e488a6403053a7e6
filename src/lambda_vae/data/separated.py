"""CSV and TSV files as tables: the separator, the header, and cells that are numbers, words or missing."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np

from lambda_vae.data.idx import DAMAGE, open_raw
from lambda_vae.data.source import Source
from lambda_vae.data.tables import Column, Table, table_source
from lambda_vae.errors import InputError

__all__ = ["separated_rows", "separated_source"]

_MISSING = ("", "na", "nan", "n/a", "null", "none", "?", "-", "<na>", "nat")

#: Between columns where there is nothing else, as numpy.savetxt writes.
_BLANKS = " "

#: Rows that are parsed at once, and that are looked at to tell a header.
_ROWS, _LOOK = 4096, 100


def _separator(path: Path, line: str, otherwise: str) -> str:
    """The one that occurs most in the first line; `otherwise` if there is none."""
    if ".tsv" in path.suffixes[-2:]:
        return "\t"
    best = max(",;\t|", key=line.count)
    return best if best in line else otherwise


def _start(path: Path, file: io.TextIOWrapper, otherwise: str = _BLANKS) -> tuple[str, list[str]]:
    """The separator, and the first lines: of comments only the last, if it names the columns, as numpy.savetxt's."""
    comment = ""
    line = file.readline()
    while line.startswith("#"):
        comment, line = line.lstrip("# "), file.readline()
    separator = _separator(path, line or comment, otherwise)
    names = comment.split(separator) if comment else []
    return separator, [comment, line] if len(names) == len(line.split(separator)) else [line]


def _lines(path: Path, otherwise: str = _BLANKS) -> Iterator[tuple[int, list[str]]]:
    """Rows with the number of the line each ends on; empty lines are passed over."""
    try:
        with io.TextIOWrapper(open_raw(path), encoding="utf-8-sig", newline="") as file:
            separator, first = _start(path, file, otherwise)
            reader = csv.reader(chain(first, file), delimiter=separator, skipinitialspace=separator in " ,;")
            for row in reader:
                if any(cell.strip() for cell in row) or len(row) > 1:
                    yield reader.line_num, row
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except UnicodeError:
        raise InputError(f"{path} is not UTF-8; save it as UTF-8") from None
    except (csv.Error, *DAMAGE) as error:
        raise InputError(f"{path} is truncated or no table ({error}); save it again") from None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return cell.strip().lower() not in _MISSING and "_" not in cell


def _has_header(first: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: no number in it, 0, 1, 2, ..., or a word above a column of numbers."""
    if not any(_is_number(cell) for cell in first):
        return True
    rest = [cell.strip() for cell in (first if first[0].strip() else first[1:])]
    if rest == [str(number) for number in range(len(rest))]:
        return len(rest) > 2 or any("." in cell for row in body for cell in row)
    columns = list(zip(*body, strict=False))
    return any(
        cell.strip() and not _is_number(cell) and any(map(_is_number, column)) and not set(column) - {*_numbers(column)}
        for cell, column in zip(first, columns, strict=False)
    )


def _numbers(column: Sequence[str]) -> list[str]:
    return [cell for cell in column if _is_number(cell) or cell.strip().lower() in _MISSING]


def _column(cells: Sequence[str]) -> Column:
    """Numbers; true and false as 1 and 0; else the words."""
    words = np.array([cell.strip() for cell in cells])
    lower = np.char.lower(words)
    missing = np.isin(lower, _MISSING)
    if np.isin(lower[~missing], ("true", "false")).all() and not missing.all():
        return Column(np.where(lower == "true", 1.0, 0.0), missing)
    if (np.char.find(words, "_") >= 0).any():  # Python takes 1_000 for a number
        return Column(words, missing)
    try:
        return Column(np.where(missing, "nan", words).astype(np.float64), missing)
    except ValueError:
        return Column(words, missing)


def _read(path: Path, otherwise: str = _BLANKS) -> tuple[list[str], bool, list[list[str]]]:
    """The names of the columns, whether they stand in the file, and the first rows of the body.

    Raises:
        InputError: There are no rows.
    """
    look = list(islice(_lines(path, otherwise), _LOOK + 1))
    if not look:
        raise InputError(f"{path} has no rows; one example a row is needed")
    (_, first), body = look[0], [row for _, row in look[1:]]
    header = _has_header(first, body)
    names = [cell.strip() for cell in first] if header else [f"column {number}" for number in range(1, len(first) + 1)]
    return names, header, body


def separated_rows(path: Path) -> tuple[list[str], Callable[[], Iterator[tuple[int, list[str]]]]]:
    """The names of the columns, and what gives all rows as text with the number of the line each ends on.

    Raises:
        InputError: It is damaged, or has no rows.
    """
    names, header, _ = _read(path, ",")  # blanks stand between the words of a sentence
    return names, lambda: islice(_lines(path, ","), int(header), None)


def separated_source(path: Path) -> Source:
    """The numbers in a CSV or TSV file as vectors, see `table_source`.

    Args:
        path: UTF-8, plain or compressed; separated by commas, semicolons, tabs, bars or blanks; with a header or not.

    Raises:
        InputError: It is damaged, or rows differ in length, or as `table_source`.
    """
    names, header, body = _read(path)

    def chunks() -> Iterator[Sequence[Column]]:
        rows = islice(_lines(path), int(header), None)
        while block := list(islice(rows, _ROWS)):
            for line, row in block:
                if len(row) != len(names):
                    raise InputError(
                        f"{path}, line {line}, has {len(row)} cells where the first has {len(names)}; mend it"
                    )
            yield [_column(cells) for cells in zip(*(row for _, row in block), strict=True)]

    title = f"table {path.name}" + ("" if header else " without a header")
    return table_source(Table(str(path), title, names, chunks, _remedy(path, [cell for row in body for cell in row])))


def _remedy(path: Path, cells: Sequence[str]) -> str:
    """The line that makes numbers of the cells, such as 1,000 or 1,5."""
    with io.TextIOWrapper(open_raw(path), encoding="utf-8-sig", newline="") as file:
        separator, _ = _start(path, file)
    read = f"pandas.read_csv({path.name!r}" + ("" if separator == "," else f", sep={separator!r}")
    grouped = [cell for cell in cells if re.fullmatch(r"\s*-?\d+(,\d+)+\s*", cell)]
    if grouped:
        thousands = separator == "," and all(re.fullmatch(r"\s*-?\d{1,3}(,\d{3})+\s*", cell) for cell in grouped)
        given = "thousands=','" if thousands else "decimal=','"
        return f"write them with points alone: {read}, {given}).to_csv('points.csv', index=False)"
    return (
        "name one label to have labels, leave them out, read text as sequences by its `column`, or one-hot encode: "
        f"pandas.get_dummies({read}), dtype=float).to_csv('numbers.csv', index=False)"
    )
