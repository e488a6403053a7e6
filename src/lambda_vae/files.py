"""Whole files or none: everything is written to a temporary file next to its target and renamed onto it."""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lambda_vae.errors import InputError

__all__ = ["json_text", "read_json", "replacing", "write_atomic", "write_json"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield an empty file next to `path`; on success it is flushed to disk and renamed onto `path`, else removed.

    Args:
        path: The final place; its folder is made if needed.

    Yields:
        The path to write to.

    Raises:
        InputError: A folder is there.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    # The ending stays last: savers such as numpy's append one of their own otherwise.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        # A saver that renames a file of its own onto it, as safetensors 0.8 does, leaves one for the owner alone.
        temporary.chmod(mode)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` so that a reader, or a crash, sees the old file or the new one, never a part.

    Args:
        path: The final place; its folder is made if needed.
        content: Text is written as UTF-8.
    """
    data = content.encode() if isinstance(content, str) else content
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def _finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """JSON has no NaN or infinity: both become null, and only here."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_text(value: Any, indent: int | None = 1) -> str:  # noqa: ANN401 - any JSON value
    """Return `value` as JSON; NaN and infinities become null.

    Args:
        value: Dicts, lists, strings, numbers, booleans, None.
        indent: Spaces a level; None writes one line without any.

    Example:
        >>> json_text({"x": [1.0, float("nan")]}, indent=None)
        '{"x":[1.0,null]}'
    """
    separators = (",", ":") if indent is None else None
    return json.dumps(_finite(value), indent=indent, separators=separators, ensure_ascii=False, allow_nan=False)


def write_json(path: Path, value: Any, indent: int | None = 1) -> None:  # noqa: ANN401 - any JSON value
    """Write `value` as JSON, atomically; NaN and infinities become null.

    Args:
        path: The final place.
        value: Dicts, lists, strings, numbers, booleans, None.
        indent: As for `json_text`.
    """
    write_atomic(path, json_text(value, indent) + "\n")


def read_json(path: Path) -> Any:  # noqa: ANN401 - any JSON value
    """Return the JSON value in `path`.

    Args:
        path: A file written by `write_json`, or by hand.

    Returns:
        Dicts, lists, strings, numbers, booleans, None.

    Raises:
        InputError: The file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid JSON ({error}); restore it or remove it") from None
