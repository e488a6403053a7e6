"""A command's parser, made of the signature and the docstring of the function that the command calls.

A parameter is an option, or a word where `_WORDS` names it and it stands before the asterisk. A bool that is False is a
flag; a Sequence or a tuple takes several words. A dataclass stands for its fields, and `**settings: Annotated[Any,
function]` for the parameters of a function that they are handed on to: for those with a default that the command does
not have itself, and that no further name in `Annotated` leaves out. `console` and `method_settings` are none of the
user's.
"""

import shutil
from argparse import SUPPRESS, HelpFormatter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from inspect import Parameter, getdoc, signature
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_args, get_origin

import docstring_parser
from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace
from rich.console import Console

from lambda_vae.checked import checked
from lambda_vae.cli.complaints import plain_complaint, with_yaml_numbers
from lambda_vae.cli.ending import fail
from lambda_vae.cli.run_options import OF_METHODS, add_run_options, run_config, settings_given, with_flat_config
from lambda_vae.errors import InputError

__all__ = ["FROM_FILE", "Parser", "call", "parser_of"]

#: In `Annotated`: the fields of a dataclass may come from a YAML file too, and lists are written as there.
FROM_FILE = object()

_WORDS = {
    "run": "folder of a run",
    "runs": "folders of runs",
    "names": "names, paths, or hf:NAME",
    "table": "",
    "name": "of a method, whose settings are told",
}


class _Formatter(DefaultHelpFormatter):
    """Wide enough for a line an option, where the terminal is."""

    def __init__(self, prog: str) -> None:
        width = min(120, shutil.get_terminal_size().columns - 2)
        super().__init__(prog, max_help_position=40, width=width)  # type: ignore[no-untyped-call]


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

    def format_help(self, formatter: HelpFormatter | None = None) -> str:
        """Return the help, without the settings of methods, which `lambda-vae list NAME` tells.

        Args:
            formatter: Another one.
        """
        hidden = [action for action in self._actions if action.help == OF_METHODS]
        if hidden:
            self.usage = "%(prog)s [--OPTION VALUE ...] --out OUT"
        for action in hidden:
            action.help = SUPPRESS
        text = super().format_help(formatter)
        for action in hidden:
            action.help = OF_METHODS
        return str(text)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """End the program with jsonargparse's complaint made plain.

        Args:
            message: Of jsonargparse.
            ex: Behind it.
        """
        hints = {action.dest: getattr(action, "_typehint", None) for action in self._actions}
        options = [name for action in self._actions for name in action.option_strings]
        fail(f"{plain_complaint(message, hints, options)}; see {self.prog} --help")


def parser_of(function: Callable[..., Any], prog: str) -> Parser:
    """Return the parser of a command.

    Args:
        function: What the command calls; its docstring is the help.
        prog: How it is called.
    """
    own, doc = signature(function, eval_str=True).parameters, _doc(function)
    parser = Parser(prog=prog, description=doc.short_description, allow_abbrev=False, formatter_class=_Formatter)
    for parameter in own.values():
        lender, lent = _lent(parameter, own)
        if lender is None:
            _add(parser, parameter, doc)
        elif FROM_FILE in _marks(parameter):
            parser.add_argument("--config", action="config", help="a YAML file with any of the options below")
            add_run_options(parser, skip=[mark for mark in _marks(parameter) if isinstance(mark, str)])
        else:
            for each in lent.values():
                _add(parser, each, _doc(lender))
    return parser


def call(function: Callable[..., Any], options: Namespace, console: Console) -> Any:
    """Return what the function of a command returns.

    Args:
        function: What the command calls.
        options: What its parser made of the words.
        console: For whoever shows progress.
    """
    own = signature(function, eval_str=True).parameters
    left_out = {mark for one in own.values() if FROM_FILE in _marks(one) for mark in _marks(one)}
    of_run = {name: value for name, value in vars(options).items() if name not in left_out}
    values = {**vars(options), "console": console, "method_settings": settings_given(of_run)}
    given: dict[str, Any] = {}
    for name, parameter in own.items():
        if FROM_FILE in _marks(parameter):
            given[name] = run_config(of_run)
            continue
        lender, lent = _lent(parameter, own)
        settings = {option: _value(each.annotation, values[option]) for option, each in lent.items()}
        if parameter.kind is Parameter.VAR_KEYWORD:
            given |= settings
        elif lender is None:
            given[name] = _value(parameter.annotation, values[name])
        else:
            given[name] = checked(lender, settings) if is_dataclass(_marks(parameter)[0]) else settings
    return function(**given)


def _value(hint: Any, parsed: Any) -> Any:
    if get_origin(hint) in (Sequence, tuple):
        return tuple(_value(get_args(hint)[0], each) for each in parsed)
    return Path(parsed) if hint is Path else parsed


def _marks(parameter: Parameter) -> Sequence[Any]:
    """Its type, and what `Annotated` adds."""
    hint = parameter.annotation
    return get_args(hint) if get_origin(hint) is Annotated else (hint,)


def _lent(parameter: Parameter, own: Mapping[str, Parameter]) -> tuple[Any, dict[str, Parameter]]:
    """The dataclass or function that a parameter stands for, and what that lends; None and nothing if for itself."""
    of, *marks = _marks(parameter)
    lender: Any = next(filter(callable, marks), of if is_dataclass(of) else None)
    if lender is None:
        return None, {}
    offered = {name: each for name, each in signature(lender, eval_str=True).parameters.items() if name not in own}
    return lender, {n: each for n, each in offered.items() if each.default is not Parameter.empty and n not in marks}


def _doc(of: Callable[..., Any]) -> docstring_parser.Docstring:
    return docstring_parser.parse(getdoc(of) or "")


def _add(parser: Parser, parameter: Parameter, doc: docstring_parser.Docstring) -> None:
    name, hint, default = parameter.name, parameter.annotation, parameter.default
    if name in ("console", "method_settings"):
        return
    meaning = next((each.description for each in doc.params if each.arg_name == name), _WORDS.get(name))
    if hint is bool and default is False:
        parser.add_argument(f"--{name}", action="store_true", help=meaning)
        return
    several, required = get_origin(hint) in (Sequence, tuple), default is Parameter.empty
    of = get_args(hint)[0] if several else hint
    settings: dict[str, Any] = {"type": str if of is Path else of, "help": meaning}
    word = name in _WORDS and parameter.kind is not Parameter.KEYWORD_ONLY
    settings |= {"nargs": "+"} if several else {"nargs": "?"} if word and not required else {}
    settings |= {} if required else {"default": list(default) if several else default}
    if word:
        parser.add_argument(name, **settings)
    else:
        parser.add_argument(f"--{name}", required=required, **settings)
