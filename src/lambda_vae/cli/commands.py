"""Every command and where the function lies that it calls, whose module is imported when it is called."""

from lambda_vae.cli.ending import PROGRAM
from lambda_vae.cli.parser import Parser, parser_of
from lambda_vae.cli.signatures import Source, source

__all__ = ["COMMANDS", "command"]

#: Below `lambda_vae.cli`, in the order of the help.
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
    "list": "listing:list_methods",
    "data list": "listing:list_data",
    "data prepare": "asking:prepare",
    "data verify": "asking:verify",
}


def command(name: str) -> tuple[Source, Parser]:
    """Return the function that a command calls, not imported yet, and its parser.

    Args:
        name: Of the command.
    """
    function = source(f"cli.{COMMANDS[name]}")
    return function, parser_of(function, f"{PROGRAM} {name}")
