"""A row of pictures as a panel of a figure."""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from lambda_vae.reports.images import grid

__all__ = ["strip"]


def strip(axis: Axes, label: str, images: NDArray[np.uint8]) -> None:
    """Draw pictures side by side, with their name on the left: grey ones as ink on paper, colours as they are.

    Args:
        axis: The panel.
        label: Text, never mathematics.
        images: [n, H, W] or [n, H, W, 3].
    """
    paper = 0 if images.ndim == 3 else 255
    row = grid(images, len(images), max(1, images.shape[1] // 14), paper)
    axis.imshow(row, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
    axis.grid(False)
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set_visible(False)
    axis.set_ylabel(label.replace("$", r"\$"), rotation=0, ha="right", va="center", fontsize=8)
