"""The images that every contender trains on."""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["training_images"]


def training_images(n: int) -> tuple[npt.NDArray[np.uint8], str]:
    """Return n rows uint8 [n, 784] and what they are: MNIST where LAMBDA_VAE_DATA names it, else synthetic.

    Args:
        n: How many; MNIST has 60,000.
    """
    root = os.environ.get("LAMBDA_VAE_DATA")
    if root and (Path(root) / "mnist").is_dir():
        from lambda_vae.data import load

        mnist = load("mnist").train.x
        return np.ascontiguousarray(np.resize(mnist, (n, 784))), "MNIST"
    # A fifth of the pixels carry ink, as in MNIST; what they show makes no difference to the time.
    random = np.random.default_rng(0)
    ink = random.random((n, 784), dtype=np.float32) < 0.2
    return np.where(ink, random.integers(1, 256, (n, 784)), 0).astype(np.uint8), "synthetic uint8 of MNIST's shape"
