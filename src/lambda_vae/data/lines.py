"""Text files, one sequence a line, and what is no text told from it."""

import gzip
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from lambda_vae.data.idx import DAMAGE, RawFile, open_raw
from lambda_vae.errors import InputError

__all__ = ["Lines", "first_fields", "text_lines", "unless_numbers"]

#: Bytes of text that are held at once.
_BLOCK = 1 << 20

#: Lines that are looked at to tell a table of numbers.
_LOOK = 100


@dataclass(frozen=True)
class Lines:
    """Texts, one sequence each.

    Attributes:
        where: The file, for messages.
        blocks: Starts a fresh pass; gives the texts in order, some at a time, none with a line break. Those that are
            empty or blank are left out by who reads them.
    """

    where: str
    blocks: Callable[[], Iterator[list[str]]]


def _raw_blocks(file: RawFile) -> Iterator[bytes]:
    """Whole lines, some at a time, without the last line break."""
    rest = b""
    while data := file.read(_BLOCK):
        lines, found, after = data.rpartition(b"\n")
        if found:
            yield rest + lines
            rest = after
        else:
            rest += after
    if rest:
        yield rest


def _decoded(data: bytes, path: Path, line: int) -> str:
    if line == 1 and data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path} is UTF-16; save it as UTF-8")
    if (place := data.find(b"\0")) >= 0:
        number = line + data[:place].count(b"\n")
        raise InputError(f"{path}, line {number}, holds a zero byte: it is no text; give a text file in UTF-8")
    try:
        return data.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        number = line + error.object[: error.start].count(b"\n")
        wrong = error.object[error.start]
        raise InputError(
            f"{path}, line {number}, is not UTF-8 (byte 0x{wrong:02x}); save the whole file as UTF-8, or mend that line"
        ) from None


def _open(path: Path, member: str | None) -> RawFile:
    if member is None:
        return open_raw(path)
    with zipfile.ZipFile(path) as archive:
        return gzip.GzipFile(fileobj=BytesIO(archive.read(member)))


def text_lines(path: Path, header: str | None = None, member: str | None = None) -> Lines:
    """The lines of a text file, plain or compressed, as they are.

    Args:
        path: In UTF-8; or a zip archive.
        member: Of the archive, compressed by gzip.
        header: What the first line must be, which is left out; None if the file has no header.

    Returns:
        The lines; whoever reads them meets an InputError where the file is no text, or damaged.
    """

    def blocks() -> Iterator[list[str]]:
        number = 1
        try:
            with _open(path, member) as file:
                for data in _raw_blocks(file):
                    lines = _decoded(data, path, number).split("\n")
                    first, number = number == 1, number + len(lines)
                    if header is not None and first:
                        _check_header(path, lines.pop(0), header)
                    yield [line.removesuffix("\r") for line in lines] if b"\r" in data else lines
        except FileNotFoundError:
            raise InputError(f"{path} does not exist") from None
        except (*DAMAGE, KeyError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} is truncated or corrupt ({error}); save or fetch it again") from None

    return Lines(str(path), blocks)


def _check_header(path: Path, first: str, header: str) -> None:
    if first.strip() != header:
        raise InputError(f"{path} begins with {first[:40]!r}, not {header!r}; fetch it again")


def first_fields(lines: Lines) -> Lines:
    """What stands before the first blank of each line: in .smi files a name follows.

    Args:
        lines: As in the file.
    """
    return Lines(lines.where, lambda: ([(line.split(None, 1) or [""])[0] for line in some] for some in lines.blocks()))


def unless_numbers(lines: Lines) -> Lines:
    """The lines, unless the first ones are nothing but numbers.

    Args:
        lines: As in the file.

    Raises:
        InputError: They are.
    """
    first = [line for line in next(lines.blocks(), [])[:_LOOK] if line.strip()]
    if first and all(_is_number(word) for line in first for word in line.replace(",", " ").split()):
        raise InputError(
            f"{lines.where} holds numbers: a table of them is read under the name .csv, and as text with "
            "`tokeniser=words`"
        )
    return lines


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
