"""The options that say which run is meant: one name for each value, those of methods and networks among them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lambda_vae.cli.signatures import Option, source
from lambda_vae.methods.spec import method_settings

if TYPE_CHECKING:
    from lambda_vae.runs import RunConfig

__all__ = ["run_config", "run_options", "settings_given", "with_flat_config"]


#: The networks whose sizes are options; where two share a name, what is said of it is the first one's.
_NETWORKS = ("MLP", "PixelCNN", "GRU", "Transformer")


def _as_text(method: str = "lambda-vae", network: str = "mlp", samples: int | None = None) -> None:
    """What options say in a word where a config has an object or leaves it to the method.

    Args:
        method: Such as lambda-vae:delta=1.19+warm-up:epochs=50, or package:Class of yours; its settings (`lambda-vae
            list NAME`) are options too, such as --delta
        network: mlp, or for images resnet or pixelcnn, or for sequences gru, lstm or transformer
        samples: Draws of z an example; the method's own if not given
    """


def run_options() -> dict[str, list[Option]]:
    """Return the options of a run, by the headings of the help."""
    method, network, samples = source("cli.run_options:_as_text").options
    run = {option.name: option for option in source("runs.config:RunConfig").options}
    train = {option.name: option for option in source("training.options:TrainOptions").options}
    for name in ("method", "network", "images", "sequences", "train"):
        del run[name]
    for name in ("samples", "keep_checkpoints"):
        del train[name]
    sizes: dict[str, Option] = {}
    for name in _NETWORKS:
        for one in source(f"runs.networks:{name}").options:
            sizes.setdefault(one.name, one)
    return {
        "what is trained": [method, *run.values()],
        "how it is trained": [*train.values(), samples],
        "networks": [network, *sizes.values()],
        "folders of images, and images of hf: sets": source("cli.asking:prepare").options[2:],
        "sequences: text and molecules": source("text.options:SequenceOptions").options,
    }


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
    if not isinstance(values, dict):
        return name
    flat = flattened(values, f"{name}: ")
    return name if flat == values else to_yaml(flat)
