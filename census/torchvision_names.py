"""torchvision beside a torch without CUDA: a package that imports it for other things needs the names alone."""

import sys
from importlib.util import find_spec

import torch

__all__ = ["importable"]


def importable() -> None:
    """Make `import torchvision` work where its wheel, built for CUDA, stops for the operators that it cannot load."""
    if find_spec("torchvision") is None:
        return
    try:
        import torchvision
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision  # noqa: F401
