"""What multiplied a loss before its backward pass."""

import sys
import threading
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from lambda_vae.errors import InputError

__all__ = ["accelerate_scale", "may_be_scaled"]


def accelerate_scale(accelerator: Any = None) -> float | None:  # noqa: ANN401 - accelerate's, which is an extra
    """Return what `accelerator.backward(loss)` multiplies the loss by: 1/gradient_accumulation_steps, and its scaler's.

    Args:
        accelerator: An accelerate.Accelerator; that whose `backward` is under way if left out.

    Returns:
        The factor; None where no `accelerator.backward` is under way.

    Raises:
        InputError: DeepSpeed or Megatron scales the loss, and accelerate does not know by how much.

    Source:
        accelerate 1.15.0, Accelerator.backward.
    """
    accelerator = _at_work() if accelerator is None else accelerator
    if accelerator is None:
        return None
    engine = accelerator.distributed_type.name
    if engine in ("DEEPSPEED", "MEGATRON_LM"):
        raise InputError(
            f"accelerate leaves the backward pass to {engine}, which scales the loss itself; say by how much: "
            "monitor.loss_scale = ..., and leave accelerator= out"
        )
    scaler = accelerator.scaler
    return (1.0 if scaler is None else float(scaler.get_scale())) / int(accelerator.gradient_accumulation_steps)


def _at_work() -> Any:  # noqa: ANN401 - an Accelerator
    """The Accelerator whose backward() this thread is in; on a GPU, another one, which waits for autograd's threads."""
    backward = getattr(getattr(sys.modules.get("accelerate"), "Accelerator", None), "backward", None)
    if backward is None:
        return None
    frames, own = sys._current_frames(), threading.get_ident()
    for thread in sorted(frames, key=lambda thread: thread != own):
        frame: FrameType | None = frames[thread]
        while frame is not None:
            if frame.f_code is backward.__code__:
                return frame.f_locals["self"]
            frame = frame.f_back
    return None


def may_be_scaled(z: Tensor) -> bool:
    """Return whether a step is one of those that need a gradient scaler, in float16, or under its autocast."""
    kind = z.device.type
    autocast = torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.float16
    return autocast or z.dtype == torch.float16
