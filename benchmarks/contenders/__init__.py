"""The contenders: each trains (or stands for the floor of) the same 784-300x3-30 VAE with the same batches.

A contender is a function `(images, batch_size, pause, **options)`: it calls `pause()` before its first epoch and after
every epoch, and never returns.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["CONTENDERS", "FEATURES", "HIDDEN", "LATENT_DIM", "Contender", "Images", "Pause"]

Images = npt.NDArray[np.uint8]
Pause = Callable[[], None]

FEATURES, HIDDEN, LATENT_DIM = 784, (300, 300, 300), 30


@dataclass(frozen=True)
class Contender:
    """One row of the table.

    Args:
        label: What the reader sees.
        module: File in this folder with a function `run`.
        floor: The contender that does the bare matrix products on the same route; None if it has none.
        options: For `run`.
    """

    label: str
    module: str
    floor: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def run(self, images: Images, batch_size: int, pause: Pause) -> None:
        """Train until `pause` ends the process.

        Args:
            images: uint8 [N, 784].
            batch_size: Examples a step.
            pause: See the module.
        """
        import_module(f"contenders.{self.module}").run(images, batch_size, pause, **self.options)


def _ours(label: str, floor: str, **options: Any) -> Contender:
    return Contender(f"lambda-vae, {label}", "ours", floor, options)


CONTENDERS: dict[str, Contender] = {
    "plain": _ours("as it comes", "products-medium", measure=False),
    "measured": _ours("as it comes, diagnostics on", "products-medium"),
    "lambda": _ours("as it comes, diagnostics on, λ at δ = 1.01", "products-medium", delta=1.01),
    "highest": _ours('float32, matmul "highest"', "products", measure=False, matmul="highest"),
    "bfloat16": _ours("bfloat16", "products-bfloat16", measure=False, precision="bfloat16"),
    "auto": _ours("precision auto", "products-bfloat16", measure=False, precision="auto"),
    "pythae": Contender("pythae's trainer, pixels binarised beforehand", "pythae_trainer", "products"),
    "pythae-stochastic": Contender(
        "pythae's trainer, binarised as each image is read", "pythae_trainer", "products", {"stochastic": True}
    ),
    "dataloader": Contender("the usual DataLoader loop", "dataloader_loop", "products"),
    "jax": Contender("JAX, an epoch as one lax.scan", "jax_scan"),
    "products": Contender("the step's 23 matrix products alone, float32", "products"),
    "products-medium": Contender(
        'the step\'s 23 matrix products alone, float32 "medium"', "products", None, {"matmul": "medium"}
    ),
    "products-bfloat16": Contender(
        "the step's 23 matrix products alone, bfloat16", "products", None, {"dtype": "bfloat16"}
    ),
}
