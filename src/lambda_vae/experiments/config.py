"""What one run is: frozen, written beside its result, read back to go on."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from lambda_vae.errors import InputError
from lambda_vae.files import write_atomic
from lambda_vae.training import TrainOptions

__all__ = ["RunConfig", "read_config", "write_config"]


@dataclass(frozen=True)
class RunConfig:
    """One training run.

    Args:
        data: A named data set (`lambda-vae data list`) or a path to your own.
        method: A method's name (`lambda-vae list`).
        delta: λ-VAE's one knob, > 1: towards 1 less sampling noise, inf is the plain VAE.
        release_epochs: λ-VAE: bring λ back to 1 over the last so many epochs; 0 never.
        ramp_epochs: λ-VAE: let λ grow from 1 over the first so many epochs; 0 applies it at once.
        refresh_every: λ-VAE: epochs between two computations of λ.
        decay: λ-VAE: of the moving average of σ.
        max_exponent: λ-VAE: largest λ.
        beta: Weight of the KL (beta-vae, and λ composed with it).
        warm_up_epochs: warm-up: length of the line from 0 to 1; half of all epochs if not given.
        cycles: cyclical: how many.
        latent_dim: Number of latent dimensions.
        hidden: Widths of the hidden layers, encoder and decoder alike.
        activation: relu, tanh, silu or gelu.
        likelihood: bernoulli or gaussian; by the data if not given.
        binarisation: Of images under a Bernoulli likelihood: stochastic (afresh at each view), fixed, or none (grey values kept).
        epochs: Passes over the data.
        batch_size: Examples a step on each process.
        learning_rate: Of Adam.
        seed: Of weights, order, binarisation and noise.
        samples: Draws of z for each example in training.
        precision: float32, or bfloat16 for the networks.
        matmul: torch's route for float32 products; medium and high may use bfloat16 inside.
        compile: Compile encoder and decoder.
        clip_norm: Largest gradient norm.
        checkpoint_every: Epochs between checkpoints.
        evaluate_every: Epochs between readings on the test set during training; 0 for none.
        measure: Keep the per-dimension record of each epoch.
        iw_samples: Samples for the importance-weighted likelihood.
        trackers: Names that accelerate knows (tensorboard, wandb, mlflow, ...).
    """

    data: str = "digits"
    method: str = "lambda-vae"
    delta: float = 1.01
    release_epochs: int = 0
    ramp_epochs: int = 0
    refresh_every: int = 2
    decay: float = 0.9
    max_exponent: float = 20.0
    beta: float = 1.0
    warm_up_epochs: float | None = None
    cycles: int = 4
    latent_dim: int = 30
    hidden: tuple[int, ...] = (300, 300, 300)
    activation: str = "relu"
    likelihood: str | None = None
    binarisation: Literal["stochastic", "fixed", "none"] = "stochastic"
    epochs: int = 100
    batch_size: int = 100
    learning_rate: float = 1e-3
    seed: int = 0
    samples: int = 1
    precision: str = "float32"
    matmul: str = "highest"
    compile: bool = False
    clip_norm: float | None = None
    checkpoint_every: int = 10
    evaluate_every: int = 10
    measure: bool = True
    iw_samples: int = 64
    trackers: tuple[str, ...] = ("tensorboard",)

    def options(self, keep_checkpoints: tuple[int, ...] = ()) -> TrainOptions:
        """Return the part that the training loop reads.

        Args:
            keep_checkpoints: Epoch ends whose checkpoint stays.

        Raises:
            InputError: A value is out of range.
        """
        names = TrainOptions.__dataclass_fields__.keys() - {"keep_checkpoints"}
        return TrainOptions(**{name: getattr(self, name) for name in names}, keep_checkpoints=keep_checkpoints)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any field's value
    return list(value) if isinstance(value, tuple) else value


def write_config(path: Path, config: Any) -> None:  # noqa: ANN401 - any config dataclass
    """Write a config as YAML, one key a field.

    Args:
        path: The file.
        config: A frozen dataclass of plain values.
    """
    write_atomic(
        path, yaml.safe_dump({k: _plain(v) for k, v in asdict(config).items()}, sort_keys=False, allow_unicode=True)
    )


def read_config(path: Path) -> RunConfig:
    """Return the config of a run.

    Args:
        path: A file that `write_config` wrote.

    Raises:
        InputError: Missing, not YAML, or with an unknown key.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; is {path.parent} the folder of a run?") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(values, dict) or (unknown := values.keys() - RunConfig.__dataclass_fields__.keys()):
        what = f"has unknown keys {sorted(unknown)}" if isinstance(values, dict) else "holds no mapping"
        raise InputError(f"{path} {what}; it must hold the fields of one run")
    return RunConfig(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
