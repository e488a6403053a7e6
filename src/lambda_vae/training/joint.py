"""What the processes hold of an epoch, as the one whole that is recorded and saved."""

from collections.abc import Mapping

from accelerate import Accelerator
from torch import Tensor

__all__ = ["joint_sums", "shares"]


def joint_sums(sums: Mapping[str, Tensor], accelerator: Accelerator) -> dict[str, Tensor]:
    """Return the sums over the data of all processes; a copy where there is one process.

    Args:
        sums: Sums over the data of this process.
        accelerator: Every process must call this.
    """
    return {name: accelerator.reduce(value, reduction="sum") for name, value in sums.items()}


def shares(sums: Mapping[str, Tensor], accelerator: Accelerator) -> dict[str, Tensor]:
    """Return one process's equal share of joint sums, so that another number of processes can go on from them.

    Args:
        sums: From `joint_sums`.
        accelerator: Tells how many processes there are.
    """
    parts = accelerator.num_processes
    # A count of examples is an integer, and each process has seen as many as the others.
    return {
        name: value / parts if value.is_floating_point() else value.div(parts, rounding_mode="floor")
        for name, value in sums.items()
    }
