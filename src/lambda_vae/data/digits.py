"""scikit-learn's embedded 8x8 digits: real data that needs no download."""

import numpy as np
from numpy.typing import NDArray

from lambda_vae.data.source import Part, Source

__all__ = ["digits_source"]


def _every_fifth_of_each_class(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """True for the 5th, 10th, 15th, ... example of each class, in the order of the file."""
    rank = np.zeros_like(labels)
    for label in np.unique(labels):
        members = labels == label
        rank[members] = np.arange(members.sum())
    chosen: NDArray[np.bool_] = rank % 5 == 4
    return chosen


def digits_source() -> Source:
    """The 1,797 handwritten digits, 8x8.

    Values 0..16 become `round(255 v / 16)`, halves up. The split is fixed and stratified: every fifth example of each
    class, in the order of the file, is a test image (1,442 train, 355 test).

    Returns:
        The source, with labels 0..9.
    """
    from sklearn.datasets import load_digits  # slow to import, and needed only here

    raw = load_digits()
    images = ((raw.images.astype(np.int64) * 255 + 8) // 16).astype(np.uint8)
    labels = raw.target.astype(np.int64)
    test = _every_fifth_of_each_class(labels)
    return Source(
        kind="image",
        shape=(8, 8),
        train=Part.of(images[~test], labels[~test]),
        test=Part.of(images[test], labels[test]),
        source="embedded in scikit-learn (UCI optical recognition of handwritten digits, test set); "
        "0..16 scaled to 0..255 by rounding; every fifth image of each class is a test image",
        classes=tuple(str(digit) for digit in range(10)),
    )
