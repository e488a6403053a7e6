"""The config of a run: data, method, network and numbers; frozen, written next to the result, read back to resume."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from lambda_vae.data import Binarisation, ImageOptions, SequenceOptions, check_validation
from lambda_vae.errors import InputError
from lambda_vae.methods import LambdaVAE, Method
from lambda_vae.runs.networks import MLP, Network
from lambda_vae.runs.old_config import old_keywords
from lambda_vae.training import TrainOptions

__all__ = ["RunConfig", "check_seed", "read_yaml", "to_yaml"]


def check_seed(seed: int) -> None:
    """Raise unless every generator of a run can be seeded with it.

    Args:
        seed: As given.

    Raises:
        InputError: It is negative, or 2^32 or greater.
    """
    if not 0 <= seed < 2**32:
        raise InputError(f"seed is {seed}; it must be 0 to {2**32 - 1}")


@old_keywords
@dataclass(frozen=True)
class RunConfig:
    """One training run.

    Args:
        data: A named set (see `lambda-vae data list`) or a path to your own.
        method: Such as `LambdaVAE(delta=1.19) + WarmUp(epochs=50)`, or the text that stands for it
            ("lambda-vae:delta=1.19+warm-up:epochs=50").
        network: `MLP`, or for images `ResNet` or `PixelCNN`; or the name of one.
        latent_dim: Number of latent dimensions.
        likelihood: bernoulli, gaussian, logistic-mixture or logistic-mixture-channels; by the data if not given. The
            mixtures are for grey and RGB values: channels independent, or green given red and blue given both.
        binarisation: stochastic, fixed or none, of images under a Bernoulli likelihood. Stochastic draws afresh at
            each view, none keeps grey values.
        validation: Training examples held out and measured on, not the test set.
        images: What is done to folders of images, and to images of hf: sets.
        sequences: What is done to text: its tokens, and which are known.
        train: The numbers of training.
        evaluate_every: Epochs between readings on the test set; 0 for none.
        iw_samples: Samples for the importance-weighted likelihood.
        trackers: tensorboard, wandb, mlflow or others that accelerate knows.

    Raises:
        InputError: A value is out of a range that no other part would check before training.

    Example:
        >>> RunConfig(method="lambda-vae:delta=1.19+warm-up:epochs=50", network=MLP((300, 300))).method.label
        'λ-VAE + warm-up δ=1.19 over 50 epochs'
    """

    data: str = "digits"
    method: Method = LambdaVAE()  # noqa: RUF009 - frozen
    network: Network = MLP()  # noqa: RUF009 - frozen
    latent_dim: int = 30
    likelihood: str | None = None
    binarisation: Binarisation = "stochastic"
    validation: int = 0
    images: ImageOptions = ImageOptions()  # noqa: RUF009 - frozen
    sequences: SequenceOptions = SequenceOptions()  # noqa: RUF009 - frozen
    train: TrainOptions = TrainOptions()  # noqa: RUF009 - frozen
    evaluate_every: int = 10
    iw_samples: int = 64
    trackers: tuple[str, ...] = ("tensorboard",)

    def __post_init__(self) -> None:
        check_seed(self.train.seed)
        check_validation(self.validation)
        for name, least in (("iw_samples", 1), ("evaluate_every", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        if self.train.keep_checkpoints:
            raise InputError("keep_checkpoints says how to train, not what; give it to train()")
        if self.method.uses("samples") and self.train.samples != 1:
            self._hand_samples_on()

    def _hand_samples_on(self) -> None:
        """Give the number of samples to the method that has one of its own, so that it is stored once."""
        own = self.method.values["samples"]
        if own not in (None, self.train.samples):
            raise InputError(f"samples is {self.train.samples}, and {self.method.name} says {own}; give it once")
        object.__setattr__(self, "method", self.method.with_settings(samples=self.train.samples))
        object.__setattr__(self, "train", replace(self.train, samples=1))

    @property
    def seed(self) -> int:
        """Of weights, order, binarisation and noise."""
        return self.train.seed

    @property
    def epochs(self) -> int:
        """Passes over the data."""
        return self.train.epochs

    def with_seed(self, seed: int) -> "RunConfig":
        """Return the same run with another seed.

        Args:
            seed: Of weights, order, binarisation and noise.
        """
        return replace(self, train=replace(self.train, seed=seed))


_TEXT = "tag:yaml.org,2002:str"


class _Dumper(yaml.SafeDumper):
    """Quotes text such as 1e3, which readers of YAML 1.2, jsonargparse among them, would take for a number."""


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)
_Dumper.add_representer(tuple, lambda dumper, value: dumper.represent_list(value))
_Dumper.add_representer(  # in single quotes a next-line character would be read back as a blank
    str, lambda dumper, value: dumper.represent_scalar(_TEXT, value, '"' if "\x85" in value else None)
)


def to_yaml(values: Mapping[str, Any]) -> str:
    """Return plain values as YAML, in their order.

    Args:
        values: Text, numbers, booleans, None, and mappings, lists or tuples of these.

    Example:
        >>> print(to_yaml({"data": "1e3", "network": {"mlp": {"hidden": (32, 16)}}, "latent_dim": 3}))
        data: '1e3'
        network:
          mlp:
            hidden:
            - 32
            - 16
        latent_dim: 3
        <BLANKLINE>
    """
    return str(yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True))


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Args:
        path: The file.

    Raises:
        InputError: It cannot be read, is not YAML or holds no mapping.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path} does not exist; is {path.parent} the folder of a run?") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); restore it") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not valid YAML ({reason}); restore it") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no mapping of names to values; restore it")
    return values
