"""One core for a whole benchmark."""

import os

import torch

__all__ = ["on_one_core"]


def on_one_core() -> None:
    """Bind this process, and those it will start, to one core and one thread.

    The last core, as most other programs prefer the first.
    """
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
