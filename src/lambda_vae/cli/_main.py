"""The command line: finds the command, parses, and turns what goes wrong into a sentence and an exit code."""

import errno
import os
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version

from rich.console import Console
from safetensors import SafetensorError

from lambda_vae.checked import nearest
from lambda_vae.cli.commands import COMMANDS, command
from lambda_vae.cli.complaints import as_options, current_options
from lambda_vae.cli.ending import PROGRAM, fail, process_number
from lambda_vae.cli.help import explained
from lambda_vae.cli.parser import call
from lambda_vae.cli.signatures import source
from lambda_vae.errors import Diverged, InputError, Interrupted

__all__ = ["main"]

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_NO_PLACE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}

_HELP = """lambda-vae: why a VAE's latent dimensions collapse, and what stops it

  lambda-vae compare --data mnist --methods vae warm-up lambda-vae --delta 1.01 1.19 --epochs 40 --seeds 3 \\
                     --out runs/mnist

commands
{commands}

`lambda-vae COMMAND --help` gives the options of each."""


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line.

    Exit codes: 0 done; 1 training failed; 2 bad input, in one sentence on stderr; 130 interrupted, resumable; 141 who
    read the output has gone.

    Args:
        words: Without the program's name; sys.argv's if None.
    """
    try:
        _main(words)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python itself complains when it ends
        sys.exit(141)


def _main(words: Sequence[str] | None) -> None:
    arguments = list(sys.argv[1:] if words is None else words)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        summaries = {name: explained(source(f"cli.{place}").summary, None, None) for name, place in COMMANDS.items()}
        lines = "\n".join(f"  {name:12} {summary}" for name, summary in summaries.items())
        print(_HELP.format(commands=lines))
        return
    if arguments[0] == "--version":
        print(f"{PROGRAM} {version(PROGRAM)}")
        return
    name = " ".join(arguments[:2]) if arguments[0] == "data" else arguments[0]
    if name not in COMMANDS:
        fail(f"unknown command {name!r}{nearest(name, COMMANDS)}; the commands are {', '.join(COMMANDS)}")
    try:
        _run_command(name, arguments[len(name.split()) :])
    except KeyboardInterrupt:
        fail("interrupted; go on with --resume", code=130)


def _run_command(name: str, words: list[str]) -> None:
    function, parser = command(name)
    words, hints = current_options(words, parser.flags)
    for hint in hints:
        print(f"{PROGRAM}: {hint}", file=sys.stderr)
    options = parser.parse_words(words)
    flags = {"resume": True, **parser.flags}
    console = Console(quiet=process_number() > 0)
    try:
        for shown in call(function, options, console):
            if isinstance(shown, str):  # names from outside are never markup, and paths are not broken
                console.print(shown, markup=False, highlight=False, soft_wrap=True)
            else:
                console.print(shown)
    except InputError as error:
        fail(as_options(str(error), flags))
    except Diverged as error:
        fail(as_options(str(error), flags), code=1)
    except Interrupted as error:
        fail(as_options(str(error), flags), code=130)
    except OSError as error:
        _fail_unless_defect(error, error.errno, f"{error.filename or ''}: {error.strerror}")
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        _fail_unless_defect(error, int(number[1]) if number else None, f"model or checkpoint: {error}")


def _fail_unless_defect(error: Exception, number: int | None, what: str) -> None:
    """The disk's own refusals are input errors too; any other such error keeps its traceback."""
    if number in _NO_ROOM:
        fail(f"cannot write {what}; free some room and go on with --resume")
    if number in _NO_PLACE:
        fail(f"cannot write {what}; choose a place you may write to")
    raise error
