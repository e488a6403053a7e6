"""`RunConfig` as the last release had it, one flat list of keywords: it goes with the next release."""

import warnings
from collections.abc import Callable
from dataclasses import fields, replace
from functools import wraps
from typing import Any, TypeVar

from lambda_vae.checked import check_known
from lambda_vae.data import ImageOptions
from lambda_vae.methods import METHODS, method_named
from lambda_vae.runs.networks import NETWORKS, PixelCNN
from lambda_vae.training import TrainOptions

__all__ = ["IMAGES", "old_keywords"]

C = TypeVar("C", bound=type[Any])

#: What the fields of `ImageOptions` were called among the others.
IMAGES = {"image_size": "size", "image_colour": "colour", "unfit_images": "unfit"}


def old_keywords(config: C) -> C:
    """Let a config be made, replaced and read by the flat names of the last release, and take text for objects.

    Args:
        config: The class.
    """
    made: Callable[..., None] = config.__init__
    own = [one.name for one in fields(config)]

    @wraps(made)
    def init(self: Any, *given: Any, **named: Any) -> None:  # noqa: ANN401 - the class's own
        nested = dict(zip(own, given, strict=False)) | {name: named.pop(name) for name in own if name in named}
        if isinstance(nested.get("method"), str):
            nested["method"] = method_named(nested["method"])
        if isinstance(network := nested.get("network"), str):
            check_known("network", network, NETWORKS, "the networks are")
            nested["network"] = NETWORKS[network]()
        made(self, **(_folded(config, nested, named) if named else nested))

    def attribute(self: Any, name: str) -> Any:  # noqa: ANN401 - the class's own
        if name.startswith("__") or name in own or name not in _old_names():
            raise AttributeError(f"{config.__name__!r} object has no attribute {name!r}")
        values = {**_old_names(), **vars(self.network), **vars(self.train)}
        values |= {old: getattr(self.images, new) for old, new in IMAGES.items()} | self.method.values
        warnings.warn(f"config.{name} is of the last release; {_WHERE}", DeprecationWarning, stacklevel=2)
        return values[name]

    config.__init__ = init
    config.__getattr__ = attribute
    return config


_WHERE = (
    "what belongs to a part of the run stands in it now, as in RunConfig(method=LambdaVAE(delta=1.19), "
    "network=MLP((300, 300)), train=TrainOptions(epochs=50)), and flat names go with the next release"
)


def _old_names() -> dict[str, Any]:
    """Every flat name of the last release with its default."""
    settings = {name: value for method in METHODS.values() for name, value in method.values.items()}
    images = {old: getattr(ImageOptions(), new) for old, new in IMAGES.items()}
    sizes = vars(NETWORKS["mlp"]()) | vars(PixelCNN())
    return settings | sizes | images | vars(TrainOptions())


def _folded(config: type[Any], nested: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """The fields with flat values put where they belong now."""
    for name in old:
        if name not in _old_names():
            raise TypeError(f"{config.__name__}.__init__() got an unexpected keyword argument {name!r}")
    whole = {one.name: nested.get(one.name, one.default) for one in fields(config)}
    parts = {"network": vars(whole["network"]), "train": vars(whole["train"]), "method": whole["method"].values}
    own = {part: {name: old[name] for name in old if name in names} for part, names in parts.items()}
    if "samples" in own["method"] or own["train"].get("samples", 1) is None:
        own["train"].pop("samples", None)
    images = {new: old[name] for name, new in IMAGES.items() if name in old}
    unused = [name for name in old if name not in IMAGES and not any(name in values for values in own.values())]
    left = f"; {', '.join(unused)} belongs to no part of this run and is left out" if unused else ""
    warnings.warn(f"{', '.join(old)}: {_WHERE}{left}", DeprecationWarning, stacklevel=4)
    return whole | {
        "method": whole["method"].with_settings(**own["method"]),
        "network": replace(whole["network"], **own["network"]),
        "images": replace(whole["images"], **images),
        "train": replace(whole["train"], **own["train"]),
    }
