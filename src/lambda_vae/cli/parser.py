"""A command's parser, made of the signature and the docstring of the function that the command calls.

A parameter is an option, or a word where `_WORDS` names it and it stands before the asterisk. A bool that is False is a
flag; a Sequence or a tuple takes several words. A dataclass stands for its fields, and `**settings: Annotated[Any,
function]` for the parameters of a function that they are handed on to: for those with a default that the command does
not have itself, and that no further name in `Annotated` leaves out. `console` and `method_settings` are none of the
user's.
"""

from argparse import SUPPRESS
from collections.abc import Sequence
from inspect import Parameter
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from lambda_vae.checked import checked
from lambda_vae.cli.complaints import as_options, plain_complaint, with_yaml_numbers
from lambda_vae.cli.ending import fail
from lambda_vae.cli.help import OF_METHODS, Formatter, explained, placeholder
from lambda_vae.cli.run_options import run_config, run_options, settings_given, with_flat_config
from lambda_vae.cli.signatures import Option, Source
from lambda_vae.errors import InputError
from lambda_vae.methods.spec import method_settings

__all__ = ["FROM_FILE", "Parser", "call", "parser_of"]

#: In `Annotated`: the fields of a dataclass may come from a YAML file too, and lists are written as there.
FROM_FILE = "--config"

_WORDS = {
    "run": "folder of a run",
    "runs": "folders of runs",
    "names": "names, paths, or hf:NAME",
    "table": "",
    "name": "of a method, whose settings are told",
}


class Parser(ArgumentParser):
    """Says what is wrong in one sentence, with the nearest name where one is misspelt."""

    @property
    def flags(self) -> dict[str, bool]:
        """Its options, without dashes, and whether each is a flag, which takes no value."""
        return {name.lstrip("-"): action.nargs == 0 for action in self._actions for name in action.option_strings}

    def parse_words(self, words: Sequence[str]) -> Namespace:
        """Return the options that the words stand for.

        Args:
            words: As typed after the command's name.
        """
        hints = {name: str(getattr(one, "_typehint", "")) for one in self._actions for name in one.option_strings}
        try:
            words = with_yaml_numbers(with_flat_config(words), {name for name in hints if "float" in hints[name]})
            return self.parse_args(words)
        except InputError as error:
            fail(str(error))
        except (UnicodeDecodeError, OSError) as error:
            fail(f"the config file cannot be read: {error}")

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """End the program with jsonargparse's complaint made plain.

        Args:
            message: Of jsonargparse.
            ex: Behind it.
        """
        hints = {action.dest: getattr(action, "_typehint", None) for action in self._actions}
        options = [name for action in self._actions for name in action.option_strings]
        fail(f"{plain_complaint(message, hints, options)}; see {self.prog} --help")


def parser_of(command: Source, prog: str) -> Parser:
    """Return the parser of a command.

    Args:
        command: The function that it calls; its docstring is the help.
        prog: How it is called.
    """
    parser = Parser(prog=prog, description=command.summary, allow_abbrev=False, formatter_class=Formatter)
    for option in command.options:
        lender, lent = _lent(option, command)
        if lender is None:
            _add(parser, option, word=option.name in _WORDS and option.kind is Parameter.POSITIONAL_OR_KEYWORD)
        elif FROM_FILE not in option.marks:
            for each in lent:
                _add(parser, each)
        else:
            parser.usage = "%(prog)s [--OPTION VALUE ...] --out PATH"
            parser.add_argument(
                FROM_FILE, action="config", metavar="PATH", help="a YAML file with any of these options"
            )
            printing = parser._actions[-1]
            printing.help, printing.metavar = "print all values as YAML, and stop", ""
            for title, options in run_options().items():
                group = parser.add_argument_group(title)
                for each in options:
                    if each.name not in option.marks:
                        _add(group, each, as_in_file=True)
            for name, hint in method_settings().items():
                if name != "samples" and name not in option.marks:
                    parser.add_argument(f"--{name}", type=hint, default=SUPPRESS, help=OF_METHODS)
    for action in parser._actions:
        action.help = as_options(action.help or "", parser.flags)
    parser._actions[0].help = "show this help"
    return parser


def call(command: Source, options: Namespace, console: Console) -> Any:
    """Return what the function of a command returns.

    Args:
        command: The function.
        options: What its parser made of the words.
        console: For whoever shows progress.
    """
    left_out = {mark for option in command.options if FROM_FILE in option.marks for mark in option.marks}
    of_run = {name: value for name, value in vars(options).items() if name not in left_out}
    values, given = {**vars(options), "console": console}, dict[str, Any]()
    for option in command.options:
        lender, lent = _lent(option, command)
        settings = {each.name: _value(each.marks[0], values[each.name]) for each in lent}
        if option.name == "method_settings":
            given[option.name] = settings_given(of_run)
        elif lender is None:
            given[option.name] = _value(option.marks[0], values[option.name])
        elif FROM_FILE in option.marks:
            given[option.name] = run_config(of_run)
        elif option.kind is Parameter.VAR_KEYWORD:
            given |= settings
        else:
            given[option.name] = checked(lender.load(), settings) if lender is option.marks[0] else settings
    return command.load()(**given)


def _value(hint: Any, parsed: Any) -> Any:
    if get_origin(hint) in (Sequence, tuple):
        return tuple(_value(get_args(hint)[0], each) for each in parsed)
    return Path(parsed) if hint is Path else parsed


def _lent(option: Option, command: Source) -> tuple[Source | None, list[Option]]:
    """The dataclass or function that a parameter stands for, and what that lends; None and nothing if for itself."""
    of, *marks = option.marks
    lender = next((one for one in (*marks, of) if isinstance(one, Source)), None)
    if lender is None or FROM_FILE in marks:
        return lender, []
    taken = [*marks, *(each.name for each in command.options)]
    return lender, [each for each in lender.options if each.value is not None and each.name not in taken]


def _add(parser: Any, option: Option, *, word: bool = False, as_in_file: bool = False) -> None:
    hint, default = option.marks[0], option.default
    if option.name in ("console", "method_settings"):
        return
    required = default is Parameter.empty
    flag = hint is bool and default is False and not as_in_file
    meaning = explained(option.meaning or _WORDS.get(option.name), hint, None if required or flag else default)
    if flag:
        parser.add_argument(f"--{option.name}", action="store_true", help=meaning)
        return
    several = get_origin(hint) in (Sequence, tuple) and not as_in_file
    of = get_args(hint)[0] if several else hint
    settings: dict[str, Any] = {"type": str if of is Path else of, "help": meaning}
    settings |= {"nargs": "+"} if several else {"nargs": "?"} if word and not required else {}
    settings |= {} if required else {"default": list(default) if several else default}
    if word:
        parser.add_argument(option.name, metavar=option.name.upper(), **settings)
    else:
        parser.add_argument(f"--{option.name}", metavar=placeholder(of), required=required, **settings)
