"""The arithmetic of a run: the route of its float32 products, and whether its passes are in bfloat16."""

from dataclasses import dataclass, field

import torch

from lambda_vae.errors import InputError

__all__ = ["MATMUL", "PRECISION", "MatmulRoute", "matmul_error", "matmul_route", "multiplies_bfloat16"]

#: The precisions of the networks. float16 is left out: its loss scaling would hide the size of the gradients that we
#: measure.
PRECISION = ("float32", "bfloat16", "auto")

#: torch's names for the route of a float32 matrix product, and the choice among them by their measured error.
MATMUL = ("auto", "highest", "high", "medium")

#: Examples, inputs and outputs of the products that are tried: a layer forwards and the gradient of its weights among
#: them. Small ones may go another way than large ones.
_SHAPES = ((128, 256, 128), (100, 784, 300), (300, 100, 784), (16, 32, 2048))

#: How many times the error of torch's most exact products still counts as that of float32. Rounding in another order
#: makes a factor of two at most; TensorFloat-32 makes 2^13, bfloat16 2^16.
_AT_FLOAT32 = 8.0


@dataclass
class MatmulRoute:
    """A route of float32 products; torch takes it inside a `with` block, and goes back to its own afterwards.

    Args:
        name: "highest", "high" or "medium".
        error: Its measured error (see `matmul_error`).
    """

    name: str
    error: float
    _before: list[str] = field(default_factory=list, repr=False)

    def __enter__(self) -> "MatmulRoute":
        """Take the route."""
        self._before.append(torch.get_float32_matmul_precision())
        torch.set_float32_matmul_precision(self.name)
        return self

    def __exit__(self, *error: object) -> None:
        """Go back."""
        torch.set_float32_matmul_precision(self._before.pop())


def matmul_error(device: torch.device | str = "cpu") -> float:
    """Return the largest error of small float32 products on the present route, each relative to its largest entry.

    Args:
        device: Where to multiply.

    Example:
        >>> matmul_error() < 1e-2
        True
    """
    generator, largest = torch.Generator().manual_seed(0), 0.0
    for rows, inner, columns in _SHAPES:
        a = torch.randn(rows, inner, generator=generator)
        b = torch.randn(inner, columns, generator=generator)
        exact, product = a.double() @ b.double(), (a.to(device) @ b.to(device)).double().cpu()
        largest = max(largest, float((product - exact).abs().max() / exact.abs().max()))
    return largest


def matmul_route(name: str = "auto", device: torch.device | str = "cpu") -> MatmulRoute:
    """Return a route with its measured error; it is taken inside a `with` block alone.

    Args:
        name: "highest"; "high" or "medium", which may use fewer bits inside where the processor has them; or "auto": on
            a CPU "medium" where its error is that of float32, else "highest". On AMD's processors "medium" is up to
            twice as fast.
        device: Where it is to multiply.

    Raises:
        InputError: Unknown route.

    Example:
        >>> with matmul_route("auto") as route:
        ...     route.error < 1e-5
        True
    """
    if name not in MATMUL:
        raise InputError(f"unknown matmul route {name!r}; use one of {', '.join(MATMUL)}")
    if name != "auto":
        return _measured(name, device)
    exact = _measured("highest", device)
    if torch.device(device).type != "cpu":
        return exact
    fast = _measured("medium", device)
    # Where both give the same bits there is no other route.
    return fast if fast.error != exact.error and fast.error <= _AT_FLOAT32 * exact.error else exact


def _measured(name: str, device: torch.device | str) -> MatmulRoute:
    with MatmulRoute(name, 0.0):
        return MatmulRoute(name, matmul_error(device))


def multiplies_bfloat16(device: torch.device) -> bool:
    """Return whether a device has products of bfloat16 of its own, which are not made of float32 ones.

    Args:
        device: A CPU, or an accelerator; False where torch cannot tell.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return device.type == "cpu" and any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
