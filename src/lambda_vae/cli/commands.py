"""Every command: the function that it calls, whose module is imported when it is called."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lambda_vae.cli.ending import PROGRAM

if TYPE_CHECKING:
    from lambda_vae.cli.parser import Parser

__all__ = ["COMMANDS", "command"]

#: Where its function lies, below `lambda_vae.cli`.
COMMANDS = {
    "compare": "training:compare",
    "reproduce": "training:reproduce",
    "tune": "training:tune",
    "train": "training:train",
    "diagnose": "measuring:diagnose",
    "likelihood": "measuring:likelihood",
    "information": "measuring:information",
    "gradients": "measuring:gradients",
    "sample": "measuring:sample",
    "generation": "measuring:generation",
    "reconstruct": "measuring:reconstruct",
    "share": "measuring:share",
    "export": "measuring:export",
    "report": "training:report",
    "predict": "asking:predict",
    "theory": "asking:theory",
    "list": "asking:list_methods",
    "data list": "asking:list_data",
    "data prepare": "asking:prepare",
    "data verify": "asking:verify",
}


def command(name: str) -> tuple[Callable[..., Any], "Parser"]:
    """Return the function that a command calls, and its parser.

    Args:
        name: Of the command.
    """
    from lambda_vae.cli.parser import parser_of

    module, function = COMMANDS[name].split(":")
    found = getattr(import_module(f"lambda_vae.cli.{module}"), function)
    return found, parser_of(found, f"{PROGRAM} {name}")
