"""The numbers of a training run."""

from dataclasses import dataclass

from lambda_vae.errors import InputError
from lambda_vae.training.precision import MATMUL, PRECISION

__all__ = ["TrainOptions"]


@dataclass(frozen=True)
class TrainOptions:
    """How to train; every field is recorded with the result.

    Args:
        epochs: Passes over the data.
        batch_size: Examples a step on each process; the rest of an epoch that fills no batch is left out, another rest
            each epoch.
        learning_rate: Of Adam.
        seed: Of the order, the binarisation and the noise.
        samples: K, draws of z for each example.
        precision: "float32", or "bfloat16" for the networks (losses, KLs and sampling stay in float32).
        matmul: torch's route for float32 products: "highest", "high", "medium".
        compile: Compile encoder and decoder.
        clip_norm: Largest gradient norm; None leaves gradients alone.
        checkpoint_every: Epochs between checkpoints.
        keep_checkpoints: Epoch ends whose checkpoint stays to the end.
        measure: Keep the per-dimension record of each epoch.

    Raises:
        InputError: A value is out of range.
    """

    epochs: int
    batch_size: int = 100
    learning_rate: float = 1e-3
    seed: int = 0
    samples: int = 1
    precision: str = "float32"
    matmul: str = "highest"
    compile: bool = False
    clip_norm: float | None = None
    checkpoint_every: int = 10
    keep_checkpoints: tuple[int, ...] = ()
    measure: bool = True

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "samples", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not 0 <= self.seed < 2**63:
            raise InputError(f"seed is {self.seed}; it must be at least 0 and less than 2**63")
        for name in ("learning_rate", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"{name} is {value}; it must be a positive number")
        for name, known in (("precision", tuple(PRECISION)), ("matmul", MATMUL)):
            if getattr(self, name) not in known:
                raise InputError(f"unknown {name} {getattr(self, name)!r}; use one of {', '.join(known)}")
