"""The precision of a run: checked once, set, and recorded."""

import torch

from lambda_vae.errors import InputError

__all__ = ["MATMUL", "PRECISION", "matmul_error", "set_matmul"]

#: accelerate's name for each precision. float16 is left out: its loss scaling would hide the size of the gradients that
#: we measure.
PRECISION = {"float32": "no", "bfloat16": "bf16"}

#: torch's names for the route of a float32 matrix product.
MATMUL = ("highest", "high", "medium")


def matmul_error(device: torch.device | str = "cpu") -> float:
    """Return the largest error of a small float32 product on the present route, relative to its largest entry.

    Args:
        device: Where to multiply.

    Example:
        >>> matmul_error() < 1e-2
        True
    """
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(128, 256, generator=generator, dtype=torch.float64)
    b = torch.randn(256, 128, generator=generator, dtype=torch.float64)
    exact = a @ b
    product = (a.float().to(device) @ b.float().to(device)).double().cpu()
    return float((product - exact).abs().max() / exact.abs().max())


def set_matmul(route: str, device: torch.device | str = "cpu") -> float:
    """Choose torch's route for float32 products and return its measured error (see `matmul_error`).

    Args:
        route: "highest", "high" or "medium"; the last two may use bfloat16 internally where the processor has it.
        device: Where training runs.

    Raises:
        InputError: Unknown route.
    """
    if route not in MATMUL:
        raise InputError(f"unknown matmul route {route!r}; use one of {', '.join(MATMUL)}")
    torch.set_float32_matmul_precision(route)
    return matmul_error(device)
