"""The numbers of a training run."""

from dataclasses import dataclass
from typing import Literal

from lambda_vae.errors import InputError
from lambda_vae.training.learning_rate import LearningRate
from lambda_vae.training.precision import MATMUL, PRECISION

__all__ = ["TrainOptions"]


@dataclass(frozen=True)
class TrainOptions:
    """How to train; every field is recorded with the result.

    Args:
        epochs: Passes over the data.
        batch_size: Examples a step on each process. The rest of an epoch that fills no batch is left out, another rest
            each epoch.
        learning_rate: Adam's; the largest where a schedule moves it.
        learning_rate_schedule: constant, or cosine: half a wave down to the floor.
        learning_rate_floor: Where the cosine ends.
        learning_rate_warm_up_epochs: Epochs over which it first rises from 0.
        scale_learning_rate: Multiply the learning rate by the number of processes.
        seed: Of the order, the binarisation and the noise.
        samples: K, draws of z for each example.
        precision: float32, or bfloat16 for the networks; auto: bfloat16 while the bound does not mind. Losses, KLs and
            sampling stay in float32.
        matmul: Route of float32 products: highest, high or medium; auto: on a CPU the faster one that is as exact.
        accumulate: Parts that a batch passes the networks in. They follow each other; the step is the whole batch's.
        average_decay: Of a moving average of the weights, if any. The average is what is measured and saved.
        recompute: Save memory with images: compute maps again backwards. Blocks keep their inputs alone.
        clip_norm: Largest gradient norm; any if not given.
        checkpoint_every: Epochs between checkpoints.
        keep_checkpoints: Epoch ends whose checkpoint stays to the end.
        measure: Keep the per-dimension record of each epoch.

    Raises:
        InputError: A value is out of range.
    """

    epochs: int = 100
    batch_size: int = 100
    learning_rate: float = 1e-3
    learning_rate_schedule: Literal["constant", "cosine"] = "constant"
    learning_rate_floor: float = 1e-5
    learning_rate_warm_up_epochs: float = 0.0
    scale_learning_rate: bool = False
    seed: int = 0
    samples: int = 1
    precision: str = "float32"
    matmul: str = "auto"
    accumulate: int = 1
    average_decay: float | None = None
    recompute: bool = False
    clip_norm: float | None = None
    checkpoint_every: int = 10
    keep_checkpoints: tuple[int, ...] = ()
    measure: bool = True

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "samples", "checkpoint_every", "accumulate"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not 0 <= self.seed < 2**63:
            raise InputError(f"seed is {self.seed}; it must be at least 0 and less than 2**63")
        for name in ("learning_rate", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"{name} is {value}; it must be a positive number")
        for name, known in (("precision", PRECISION), ("matmul", MATMUL)):
            if getattr(self, name) not in known:
                raise InputError(f"unknown {name} {getattr(self, name)!r}; use one of {', '.join(known)}")
        if self.batch_size % self.accumulate:
            raise InputError(
                f"accumulate is {self.accumulate}; it must divide the batch of {self.batch_size} into equal parts"
            )
        if self.average_decay is not None and not 0 < self.average_decay < 1:
            raise InputError(f"average_decay is {self.average_decay}; it must lie between 0 and 1, such as 0.999")
        self.learning_rates(1)

    def learning_rates(self, processes: int) -> LearningRate:
        """Return the learning rate as a function of the position in training.

        Args:
            processes: For the linear scaling.

        Raises:
            InputError: Its numbers make no schedule.
        """
        peak = self.learning_rate * (processes if self.scale_learning_rate else 1)
        shape, floor = self.learning_rate_schedule, self.learning_rate_floor
        return LearningRate(peak, self.epochs, shape, floor, self.learning_rate_warm_up_epochs)
