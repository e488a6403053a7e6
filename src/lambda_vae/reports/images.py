"""Rows of small pictures pasted into one, as arrays and as PNG data URIs."""

import base64
import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["grid", "png_data_uri", "sheets"]

_MOST_PAIRS = 12


def grid(images: NDArray[np.uint8], columns: int, gap: int = 2, background: int = 128) -> NDArray[np.uint8]:
    """Return images next to each other, row after row.

    Args:
        images: [n, H, W] or [n, H, W, 3].
        columns: Images in a row.
        gap: Pixels between two images.
        background: Grey value of the gaps.

    Returns:
        One picture; [rows * (H + gap) - gap, columns * (W + gap) - gap] and the colour axis of the input, if any.

    Example:
        >>> grid(np.zeros((5, 4, 4), np.uint8), columns=3).shape
        (10, 16)
    """
    count, height, width = images.shape[:3]
    rows = -(-count // columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, *images.shape[3:])
    canvas = np.full(shape, background, np.uint8)
    for index, image in enumerate(images):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        canvas[top : top + height, left : left + width] = image
    return canvas


def sheets(images: Mapping[str, NDArray[np.uint8]], columns: int) -> dict[str, NDArray[np.uint8]]:
    """Return the pictures of a run, each kind on a sheet of its own: reconstructions, traversals, samples of the prior.

    Args:
        images: As `RunRecord.images`; kinds that are missing are left out.
        columns: Samples in a row, at most.
    """
    found = {}
    if "originals" in images and "reconstructions" in images:
        pairs = [images[name][:_MOST_PAIRS] for name in ("originals", "reconstructions")]
        found["reconstructions"] = grid(np.concatenate(pairs), columns=len(pairs[0]))
    if (stack := images.get("traversals")) is not None and len(stack):
        found["traversals"] = grid(stack.reshape(-1, *stack.shape[2:]), columns=stack.shape[1])
    if (samples := images.get("prior_samples")) is not None and len(samples):
        found["prior_samples"] = grid(samples, columns=min(columns, len(samples)))
    return found


def png_data_uri(image: NDArray[np.uint8]) -> str:
    """Return a picture as a `data:` address that a page can hold within itself.

    Args:
        image: [H, W] or [H, W, 3].
    """
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode("ascii")
