"""How the program ends when something is wrong: one sentence on stderr and an exit code."""

import os
import sys
from typing import NoReturn

__all__ = ["PROGRAM", "fail", "process_number"]

PROGRAM = "lambda-vae"


def process_number() -> int:
    """Return this process's number among those that a launcher started together."""
    return int(os.environ.get("RANK", "0"))


def fail(message: str, code: int = 2) -> NoReturn:
    """End the program with one sentence on stderr.

    Args:
        message: The sentence.
        code: Exit code.
    """
    where = f" (process {process_number()})" if process_number() else ""
    print(f"{PROGRAM}{where}: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)
