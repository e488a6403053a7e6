"""A command's parser, made of the signature and the docstring of the function that the command calls.

A parameter is an option, or a word where `_WORDS` names it and it stands before the asterisk. A bool that is False is a
flag; a Sequence or a tuple takes several words. A dataclass stands for its fields, and `**settings: Annotated[Any,
function]` for the parameters of a function that they are handed on to: for those with a default that the command does
not have itself, and that no further name in `Annotated` leaves out. `console` is none of the user's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from inspect import Parameter, getdoc, signature
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_args, get_origin

import docstring_parser
from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from lambda_vae.checked import checked
from lambda_vae.cli.complaints import plain_complaint, with_yaml_numbers
from lambda_vae.cli.ending import fail

__all__ = ["FROM_FILE", "Parser", "call", "parser_of"]

#: In `Annotated`: the fields of a dataclass may come from a YAML file too, and lists are written as there.
FROM_FILE = object()

_WORDS = {"run": "folder of a run", "runs": "folders of runs", "names": "names, paths, or hf:NAME", "table": ""}


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
            return self.parse_args(with_yaml_numbers(words, {name for name in hints if "float" in hints[name]}))
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


def parser_of(function: Callable[..., Any], prog: str) -> Parser:
    """Return the parser of a command.

    Args:
        function: What the command calls; its docstring is the help.
        prog: How it is called.
    """
    own, doc = signature(function, eval_str=True).parameters, _doc(function)
    parser = Parser(prog=prog, description=doc.short_description, allow_abbrev=False)
    for parameter in own.values():
        lender, lent = _lent(parameter, own)
        if lender is None:
            _add(parser, parameter, doc)
        elif FROM_FILE in _marks(parameter):
            parser.add_argument("--config", action="config", help="a YAML file with any of the options below")
            parser.add_class_arguments(lender, skip={*signature(lender).parameters} - lent.keys())
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
    values = {**vars(options), "console": console}
    own = signature(function, eval_str=True).parameters
    given: dict[str, Any] = {}
    for name, parameter in own.items():
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
    if name == "console":
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
