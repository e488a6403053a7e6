"""The options that say which run is meant: one name for each value, those of methods and networks among them."""

import argparse
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from jsonargparse import ArgumentParser

if TYPE_CHECKING:
    from lambda_vae.runs import RunConfig

__all__ = ["OF_METHODS", "add_run_options", "run_config", "settings_given", "with_flat_config"]

#: The help of an option that the help does not show: print_config leaves out what has none.
OF_METHODS = "a setting of methods"

_METHOD = (
    'such as lambda-vae:delta=1.19+warm-up:epochs=50, or package:Class of your own; "lambda-vae list NAME" tells the '
    "settings of one, which may be given as options too: --delta 1.19"
)


def add_run_options(parser: ArgumentParser, skip: Collection[str] = ()) -> None:
    """Add an option for each value of a run; those of methods are taken, and named by `lambda-vae list NAME` alone.

    Args:
        parser: Of a command.
        skip: Names that the command has itself.
    """
    from lambda_vae.data.pictures import Colour, Unfit
    from lambda_vae.runs import RunConfig
    from lambda_vae.runs.flat import method_settings
    from lambda_vae.runs.networks import MLP, NETWORKS, PixelCNN
    from lambda_vae.training import TrainOptions

    if "method" not in skip:
        parser.add_argument("--method", type=str, default="lambda-vae", help=_METHOD)
    parser.add_class_arguments(RunConfig, skip={"method", "network", "images", "train"})
    parser.add_class_arguments(TrainOptions, skip={"samples", "keep_checkpoints"})
    drawn = "draws of z for each example; the method's own number if not given"
    parser.add_argument("--samples", type=int | None, default=None, help=drawn)
    parser.add_argument("--network", type=str, default="mlp", help=f"one of {', '.join(NETWORKS)}")
    parser.add_class_arguments(MLP)
    parser.add_class_arguments(PixelCNN)
    size = "folders of images, hf: sets: cut out the largest centred square and resize it to this"
    parser.add_argument("--image_size", type=int | None, default=None, help=size)
    parser.add_argument("--image_colour", type=Colour, default="kept", help="the same: turn all into grey or rgb")
    unfit = "the same: refuse names the first broken or odd file, skip leaves such out"
    parser.add_argument("--unfit_images", type=Unfit, default="refuse", help=unfit)
    for name, hint in method_settings().items():
        if name not in ("samples", *skip):
            parser.add_argument(f"--{name}", type=hint, default=argparse.SUPPRESS, help=OF_METHODS)


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    from lambda_vae.runs.flat import kinds

    return {name: values[name] for name in kinds() if name in values and (name, values[name]) != ("samples", None)}


def run_config(values: Mapping[str, Any]) -> "RunConfig":
    """Return the run that the values of options describe.

    Args:
        values: By name; those of other options are left alone.

    Raises:
        InputError: A value is out of range, or a setting is given twice.
    """
    from lambda_vae.runs.flat import from_flat

    return from_flat(_given(values))


def settings_given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of methods that were given as options.

    Args:
        values: By name.
    """
    from lambda_vae.runs.flat import method_settings

    given = {name: value for name, value in _given(values).items() if name in method_settings()}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def with_flat_config(words: Sequence[str]) -> list[str]:
    """Return the words of a command with the text of a nested config file, made flat, in place of its name.

    Args:
        words: After the command's name.

    Raises:
        InputError: The file names an unknown method.
    """
    changed = list(words)
    for place, word in enumerate(words):
        if word == "--config" and place + 1 < len(words):
            changed[place + 1] = _flat_text(words[place + 1])
        elif word.startswith("--config="):
            changed[place] = f"--config={_flat_text(word.partition('=')[2])}"
    return changed


def _flat_text(name: str) -> str:
    """The name itself where the file is flat already, or jsonargparse shall say what is wrong with it."""
    from lambda_vae.runs.config import to_yaml
    from lambda_vae.runs.flat import flattened

    try:
        values = yaml.safe_load(Path(name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError):
        return name
    if not isinstance(values, dict) or not any(isinstance(value, dict) for value in values.values()):
        return name
    return to_yaml(flattened(values, f"{name}: "))
