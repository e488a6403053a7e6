"""What one run is: frozen, written beside its result, read back to go on."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from lambda_vae.checked import checked
from lambda_vae.data import Binarisation, ImageOptions, check_validation
from lambda_vae.equalization import ReleasePath
from lambda_vae.errors import InputError
from lambda_vae.files import write_atomic
from lambda_vae.training import TrainOptions

__all__ = ["RunConfig", "check_seed", "checked_config", "read_config", "read_yaml", "to_yaml", "write_config"]


def check_seed(seed: int) -> None:
    """Raise unless every generator that takes part can be seeded with it.

    Args:
        seed: As given.

    Raises:
        InputError: It is negative, or 2^32 or greater.
    """
    if not 0 <= seed < 2**32:
        raise InputError(f"seed is {seed}; it must be 0 to {2**32 - 1}")


@dataclass(frozen=True)
class RunConfig:
    """One training run.

    Args:
        data: A named data set (`lambda-vae data list`) or a path to your own.
        method: A method's name (`lambda-vae list`).
        delta: λ-VAE's one knob, > 1: towards 1 less sampling noise, inf is the plain VAE.
        release_epochs: λ-VAE: bring λ back to 1 over the last so many epochs; 0 never.
        settle_epochs: λ-VAE: end the release so many epochs before the end of training.
        release_path: λ-VAE: exponent lets λ fall in a straight line; delta lets δ rise, and small σ go first.
        release_capacity: λ-VAE: λ is 1 where a dimension's wide law carries so many nats; nowhere if not given.
        ramp_epochs: λ-VAE: let λ grow from 1 over the first so many epochs; 0 applies it at once.
        refresh_every: λ-VAE: epochs between two computations of λ.
        decay: λ-VAE: of the moving average of σ.
        max_exponent: λ-VAE: largest λ.
        beta: beta-vae: weight of the KL.
        warm_up_epochs: warm-up, lambda-rising: length of the line from 0 to 1; half of all epochs if not given, in
            lambda-rising five sixths.
        cycles: cyclical: how many.
        free_bits: free-bits: nats that each group of dimensions may hold without cost.
        free_bits_group: free-bits: dimensions in a group.
        target_rate: target-rate: nats that the KL is drawn to in the end.
        target_gamma: target-rate: weight of the distance from the target.
        target_epochs: target-rate: length of the target's line from 0; half of all epochs if not given.
        info_alpha: info-vae: how far the KL is taken back; 1 leaves the MMD alone.
        info_lambda: info-vae: weight of the aggregate's distance from the prior; 1 with info_alpha 0 is the plain VAE.
        kernel: info-vae: of the MMD, rbf or imq.
        kernel_scale: info-vae: squared length of the kernel, in mean squared distances of two draws from N(0, I).
        wae_weight: wae: nats per unit of squared MMD.
        adversary_weight: aae: of the discriminator's part of the loss.
        adversary_hidden: aae, avb: widths of the discriminator's hidden layers.
        adversary_rate: aae, avb: learning rate of the discriminator.
        adaptive_contrast: avb: tell the posterior from a Gaussian with its moments, not from the prior.
        mixing_dim: avb: length of the noise that the posterior's mean and std depend on.
        aggressive_steps: lagging: most steps of the encoder before one of the decoder; 0 is the plain VAE.
        aggressive_window: lagging: steps of the encoder between two looks at its loss.
        refine_steps: semi-amortized: steps that improve q of each example for the decoder; 0 is the plain VAE.
        refine_rate: semi-amortized: part of the way along the natural gradient, at most 1.
        committed_rate: delta-vae: least KL in nats a dimension; 0 is the plain VAE.
        committed_form: delta-vae: independent keeps the posterior away from N(0, I), ar1 the prior from all posteriors.
        flow_layers: iaf, flow, flow-prior: how many; 0 is the plain VAE.
        flow_hidden: iaf, flow, flow-prior: widths of the network in each layer.
        flow_kind: flow: coupling or planar.
        pseudo_inputs: vamp-prior: how many.
        latent_dim: Number of latent dimensions.
        network: mlp; for images resnet too, or pixelcnn: resnet's encoder with an autoregressive decoder.
        hidden: mlp: widths of the hidden layers, encoder and decoder alike.
        activation: mlp: relu, tanh, silu or gelu.
        encoder_width: resnet, pixelcnn: channels of the encoder at full resolution.
        encoder_blocks: resnet, pixelcnn: residual blocks a stage in the encoder.
        decoder_width: resnet, pixelcnn: channels of the decoder at full resolution.
        decoder_blocks: resnet: residual blocks a stage in the decoder.
        multipliers: resnet, pixelcnn: of the widths, one a stage; each stage halves the image.
        pixelcnn_layers: pixelcnn: gated layers.
        likelihood: bernoulli, gaussian, or for grey and RGB values logistic-mixture (channels independent) or
            logistic-mixture-channels (green given red, blue given both); by the data if not given.
        binarisation: Of images under a Bernoulli likelihood: stochastic (afresh at each view), fixed, or none (grey
            values kept).
        validation: Training examples to hold out and measure on instead of the test set; 0 for none.
        epochs: Passes over the data.
        batch_size: Examples a step on each process.
        image_size: Folders of images, hf: sets: cut out the largest centred square and resize it to this; kept as they
            are if not given.
        image_colour: Folders of images, hf: sets: kept as they are, or all turned into grey or rgb.
        unfit_images: Folders of images, hf: sets: refuse names the first broken or odd file, skip leaves such out.
        learning_rate: Of Adam; its largest value where a schedule moves it.
        learning_rate_schedule: constant, or cosine: down to the floor along half a wave over all epochs.
        learning_rate_floor: cosine: where it ends.
        learning_rate_warm_up_epochs: Let the learning rate rise from 0 over the first so many epochs.
        scale_learning_rate: Multiply the learning rate by the number of processes.
        seed: Of weights, order, binarisation and noise.
        samples: Draws of z for each example in training; the method's own number if not given.
        precision: float32, or bfloat16 for the networks.
        matmul: torch's route for float32 products; medium and high may use bfloat16 inside.
        compile: Compile encoder and decoder.
        accumulate: Parts that a batch passes through the networks in; the step is the whole batch's.
        average_decay: Of a moving average of the weights, which is then what is measured and saved; none if not given.
        recompute: resnet, pixelcnn: save memory by computing the inside of blocks again in the backward pass.
        clip_norm: Largest gradient norm.
        checkpoint_every: Epochs between checkpoints.
        evaluate_every: Epochs between readings on the test set during training; 0 for none.
        measure: Keep the per-dimension record of each epoch.
        iw_samples: Samples for the importance-weighted likelihood.
        trackers: Names that accelerate knows (tensorboard, wandb, mlflow, ...).

    Raises:
        InputError: A value is out of a range that no other part would check before training.
    """

    data: str = "digits"
    method: str = "lambda-vae"
    delta: float = 1.01
    release_epochs: int = 0
    settle_epochs: int = 0
    release_path: ReleasePath = "exponent"
    release_capacity: float | None = None
    ramp_epochs: int = 0
    refresh_every: int = 2
    decay: float = 0.9
    max_exponent: float = 20.0
    beta: float = 1.0
    warm_up_epochs: float | None = None
    cycles: int = 4
    free_bits: float = 0.25
    free_bits_group: int = 1
    target_rate: float = 25.0
    target_gamma: float = 1000.0
    target_epochs: float | None = None
    info_alpha: float = 0.0
    info_lambda: float = 1000.0
    kernel: Literal["rbf", "imq"] = "rbf"
    kernel_scale: float = 1.0
    wae_weight: float = 200.0
    adversary_weight: float = 10.0
    adversary_hidden: tuple[int, ...] = (300, 300)
    adversary_rate: float = 1e-3
    adaptive_contrast: bool = True
    mixing_dim: int = 2
    aggressive_steps: int = 100
    aggressive_window: int = 10
    refine_steps: int = 5
    refine_rate: float = 0.1
    committed_rate: float = 0.1
    committed_form: Literal["independent", "ar1"] = "independent"
    flow_layers: int = 4
    flow_hidden: tuple[int, ...] = (128,)
    flow_kind: Literal["coupling", "planar"] = "coupling"
    pseudo_inputs: int = 500
    latent_dim: int = 30
    network: Literal["mlp", "resnet", "pixelcnn"] = "mlp"
    hidden: tuple[int, ...] = (300, 300, 300)
    activation: str = "relu"
    encoder_width: int = 16
    encoder_blocks: int = 1
    decoder_width: int = 64
    decoder_blocks: int = 2
    multipliers: tuple[int, ...] = (1, 2, 4)
    pixelcnn_layers: int = 5
    likelihood: str | None = None
    binarisation: Binarisation = "stochastic"
    validation: int = 0
    epochs: int = 100
    batch_size: int = 100
    image_size: int | None = None
    image_colour: Literal["kept", "grey", "rgb"] = "kept"
    unfit_images: Literal["refuse", "skip"] = "refuse"
    learning_rate: float = 1e-3
    learning_rate_schedule: Literal["constant", "cosine"] = "constant"
    learning_rate_floor: float = 1e-5
    learning_rate_warm_up_epochs: float = 0.0
    scale_learning_rate: bool = False
    seed: int = 0
    samples: int | None = None
    precision: str = "float32"
    matmul: str = "highest"
    compile: bool = False
    accumulate: int = 1
    average_decay: float | None = None
    recompute: bool = False
    clip_norm: float | None = None
    checkpoint_every: int = 10
    evaluate_every: int = 10
    measure: bool = True
    iw_samples: int = 64
    trackers: tuple[str, ...] = ("tensorboard",)

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_validation(self.validation)
        for name, least in (("iw_samples", 1), ("evaluate_every", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least {least}")

    def images(self) -> ImageOptions:
        """Return the part that the readers of image files look at.

        Raises:
            InputError: A value is out of range.
        """
        return ImageOptions(self.image_size, self.image_colour, self.unfit_images)

    def options(self, keep_checkpoints: tuple[int, ...] = (), samples: int = 1) -> TrainOptions:
        """Return the part that the training loop reads.

        Args:
            keep_checkpoints: Epoch ends whose checkpoint stays.
            samples: The method's own number, used if the config gives none.

        Raises:
            InputError: A value is out of range.
        """
        names = TrainOptions.__dataclass_fields__.keys() - {"keep_checkpoints", "samples"}
        values = {name: getattr(self, name) for name in names}
        drawn = samples if self.samples is None else self.samples
        return TrainOptions(**values, samples=drawn, keep_checkpoints=keep_checkpoints)


class _Dumper(yaml.SafeDumper):
    """Quotes text such as 1e3, which readers of YAML 1.2, jsonargparse among them, would take for a number."""


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def to_yaml(values: Mapping[str, Any]) -> str:
    """Return plain values as YAML, in their order.

    Args:
        values: Text, numbers, booleans, None, and lists or tuples of these.

    Example:
        >>> print(to_yaml({"data": "1e3", "hidden": (32, 16), "delta": 1.01}))
        data: '1e3'
        hidden:
        - 32
        - 16
        delta: 1.01
        <BLANKLINE>
    """
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    return str(yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


def write_config(path: Path, config: RunConfig) -> None:
    """Write a config as YAML, one key a field.

    Args:
        path: The file.
        config: The run.
    """
    write_atomic(path, to_yaml(asdict(config)))


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


def checked_config(values: Mapping[str, Any], where: str = "") -> RunConfig:
    """Return the run that values from outside describe.

    Args:
        values: By field; lists stand for tuples; a field that is absent keeps its default.
        where: What messages begin with.

    Raises:
        InputError: An unknown key, or a value of the wrong kind or out of range.

    Example:
        >>> checked_config({"delta": 1.5, "hidden": [32]}).hidden
        (32,)
    """
    return checked(RunConfig, values, where)


def read_config(path: Path) -> RunConfig:
    """Return the config of a run.

    Args:
        path: A file that `write_config` wrote.

    Raises:
        InputError: Missing, not YAML, with an unknown key, or with a value of the wrong kind.
    """
    return checked_config(read_yaml(path), f"{path}: ")
