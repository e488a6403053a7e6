"""A run as one list of names: the options of the command line, and the files of the last release."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from lambda_vae.checked import check_known, check_values
from lambda_vae.data import ImageOptions, SequenceOptions
from lambda_vae.errors import InputError
from lambda_vae.files import write_atomic
from lambda_vae.methods import Method
from lambda_vae.methods.spec import from_data, method_settings, parse, reference, text_of, to_data
from lambda_vae.runs.config import RunConfig, check_seed, read_yaml, to_yaml
from lambda_vae.runs.networks import NETWORKS
from lambda_vae.runs.old_config import IMAGES
from lambda_vae.training import TrainOptions

__all__ = [
    "as_exact", "config_data", "differences", "flat", "flattened", "from_flat", "kinds", "method_settings",
    "read_config", "write_config",
]  # fmt: skip

_TRAIN = tuple(one.name for one in fields(TrainOptions) if one.name not in ("keep_checkpoints", "samples"))
_SEQUENCES = tuple(one.name for one in fields(SequenceOptions))
_NESTED = ("method", "network", "images", "sequences", "train")
_TOP = tuple(one.name for one in fields(RunConfig) if one.name not in _NESTED)


@cache
def kinds() -> dict[str, Any]:
    """Return the type of every name that a flat list may hold."""
    top, train, images = get_type_hints(RunConfig), get_type_hints(TrainOptions), get_type_hints(ImageOptions)
    networks = {size.name: get_type_hints(one)[size.name] for one in NETWORKS.values() for size in fields(one)}
    return {
        "data": str,
        "method": str,
        **method_settings(),
        "network": str,
        **networks,
        **{name: top[name] for name in _TOP},
        **{name: images[field] for name, field in IMAGES.items()},
        **get_type_hints(SequenceOptions),
        **{name: train[name] for name in _TRAIN},
        "samples": int | None,
    }


def flat(config: RunConfig) -> dict[str, Any]:
    """Return every value of a run by one name each; settings stand next to the method where that says all.

    Args:
        config: The run.
    """
    values = {"data": config.data, **_flat_method(config.method)}
    values |= {
        "network": config.network.name,
        **vars(config.network),
        **{name: getattr(config, name) for name in _TOP},
    }
    values |= {name: getattr(config.images, field) for name, field in IMAGES.items()} | vars(config.sequences)
    values |= {name: getattr(config.train, name) for name in _TRAIN}
    return {"samples": config.train.samples, **values}


def _flat_method(method: Method) -> dict[str, Any]:
    """Name and settings; the whole text of a method that no option could name, or whose parts differ in a setting."""
    own = [part for part in method.parts if ":" in reference(part)]
    if own or any("." in name for name in method.values):
        return {"method": text_of(method)}
    return {"method": method.name, **method.values}


def from_flat(values: Mapping[str, Any], where: str = "") -> RunConfig:
    """Return the run that a flat list describes; settings of methods that the run does not have are left out.

    Args:
        values: By name; lists stand for tuples; a name that is absent keeps its default.
        where: What messages begin with.

    Raises:
        InputError: An unknown name, a value of the wrong kind or out of range, or a setting given twice.

    Example:
        >>> from_flat({"method": "warm-up+lambda-vae", "delta": 1.5, "beta": 4.0, "hidden": [32]}).method.label
        'λ-VAE + warm-up δ=1.5'
    """
    check_values(values, kinds(), where)
    given: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in values.items()}
    check_seed(given.get("seed", 0))
    method = _method(given, where)
    samples = None if method.uses("samples") else given.get("samples")
    network = str(given.get("network", "mlp"))
    check_known("network", network, NETWORKS, f"{where}the networks are")
    sizes = {one.name for one in fields(NETWORKS[network])}
    train = {name: given[name] for name in _TRAIN if name in given} | ({} if samples is None else {"samples": samples})
    return RunConfig(
        method=method,
        network=NETWORKS[network](**{name: given[name] for name in sizes if name in given}),
        images=ImageOptions(**{field: given[name] for name, field in IMAGES.items() if name in given}),
        sequences=SequenceOptions(**{name: given[name] for name in _SEQUENCES if name in given}),
        train=TrainOptions(**train),
        **{name: given[name] for name in _TOP if name in given},
    )


def _method(given: Mapping[str, Any], where: str) -> Method:
    method, named = parse(str(given["method"])) if "method" in given else (RunConfig().method, frozenset[str]())
    settings = {name: given[name] for name in method_settings() if name in given and method.uses(name)}
    for name in named & settings.keys():
        if settings.pop(name) != method.values[name]:
            raise InputError(
                f"{where}{name} is {given[name]!r}, and the method's own text says {method.values[name]!r}; give it "
                "once"
            )
    return method.with_settings(**settings)


def config_data(config: RunConfig) -> dict[str, Any]:
    """Return a run as plain data, nested as it is.

    Args:
        config: The run.
    """
    return vars(config) | {
        "method": to_data(config.method),
        "network": {config.network.name: vars(config.network)},
        "images": vars(config.images),
        "sequences": vars(config.sequences),
        "train": {name: value for name, value in vars(config.train).items() if name != "keep_checkpoints"},
    }


def flattened(values: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Return the flat list that plain data stands for, nested or flat.

    Args:
        values: As from `config_data`, or as the last release wrote them; other names stay as they are.
        where: What messages begin with.

    Raises:
        InputError: A method that is not known, or a part that is no mapping.
    """
    return {name: value for name, value in _flat_items(values, where) if name not in _GONE}


def _flat_items(values: Mapping[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if name == "method" and not isinstance(value, str):
            yield from _flat_method(from_data(value, where)).items()
        elif name == "network" and isinstance(value, Mapping) and len(value) == 1:
            ((network, sizes),) = value.items()
            yield name, network
            yield from (sizes or {}).items()
        elif name in ("images", "sequences", "train"):
            if not isinstance(value, Mapping):
                raise InputError(f"{where}{name} is {value!r}; it must be a mapping")
            names = {field: option for option, field in IMAGES.items()} if name == "images" else {}
            yield from ((str(names.get(key, key)), one) for key, one in value.items() if (key, one) != _ONE_SAMPLE)
        elif name == "settings" and isinstance(value, Mapping):  # of a comparison
            yield from value.items()
        else:
            yield name, value


#: Options of earlier releases: whether the networks were compiled changed no number.
_GONE = frozenset({"compile"})

#: The default, which a method with a number of its own must not take for one that was given.
_ONE_SAMPLE = ("samples", 1)


def differences(old: RunConfig, new: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Return the values in which two runs differ, by name: the old one and the new one.

    Args:
        old: One.
        new: The other.
    """
    before, now = flat(as_exact(old)), flat(as_exact(new))
    return {name: (before.get(name), now.get(name)) for name in {**before, **now} if before.get(name) != now.get(name)}


def as_exact(config: RunConfig) -> RunConfig:
    """Return a run by torch's most exact route of products if it may take any that is exact: its numbers are the same.

    Args:
        config: The run.
    """
    if config.train.matmul != "auto":
        return config
    return replace(config, train=replace(config.train, matmul="highest"))


def write_config(path: Path, config: RunConfig) -> None:
    """Write a config as YAML, for later releases and to be read by hand.

    Args:
        path: The file.
        config: The run.
    """
    write_atomic(path, to_yaml(config_data(config)))


def read_config(path: Path) -> RunConfig:
    """Return the config of a run.

    Args:
        path: A file that `write_config` of this release or of the last one wrote.

    Raises:
        InputError: Missing, not YAML, with an unknown key, or with a value of the wrong kind.
    """
    where = f"{path}: "
    return from_flat(flattened(read_yaml(path), where), where)
