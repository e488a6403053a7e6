"""How much work and memory an estimate may take: multiplications counted, bytes measured on an example or two."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from lambda_vae.errors import InputError
from lambda_vae.estimation.examples import Examples, conditioned, x_of
from lambda_vae.estimation.flops import flop_counter
from lambda_vae.estimation.protocol import LatentVariableModel

__all__ = ["Limits", "Memory", "bytes_kept", "bytes_of", "flops_of", "limits_of", "written"]

#: Share of a batch that is looked at together where its examples are large: what is kept for gradients takes more.
_PART = 8

#: Numbers of x of which two draws are looked at together: large enough for full speed, small enough for the cache.
_NUMBERS = 1000 * 784

#: What a pass takes for a moment, as a multiple of what it keeps.
_TRANSIENT = 2.0

#: Bytes, or text such as "500 MB" or "1.5 GiB".
Memory = int | float | str

_UNITS = {"": 1, "B": 1, **{f"{p}B": 1000**i for i, p in enumerate("KMGT", 1)}}
_UNITS |= {f"{p}IB": 1024**i for i, p in enumerate("KMGT", 1)}


@dataclass(frozen=True)
class Limits:
    """What a diagnosis may hold at once.

    Args:
        examples: With their gradients; twice as many go through the networks together without.
        bytes: Of what is kept besides them; None for no other limit than the measures' own.
        whole: Whether the data are one batch that the model needs whole, which is never cut.
        encoder: Operations of an example's encoder pass.
        decoder: Operations of a decoder pass.
    """

    examples: int = 500
    bytes: float | None = None
    whole: bool = False
    encoder: float = 0.0
    decoder: float = 0.0

    @property
    def rows(self) -> int:
        """Rows that go through the networks together without gradients."""
        return 2 * self.examples


def bytes_of(memory: Memory) -> int:
    """Return a number of bytes.

    Raises:
        InputError: Text of another form, or nothing at all.

    Example:
        >>> bytes_of("1.5 GiB"), bytes_of("2 MB"), bytes_of(1e6)
        (1610612736, 2000000, 1000000)
    """
    found = re.fullmatch(
        r"\s*(\d+(?:\.\d*)?(?:e\d+)?)\s*([KMGT]?I?B?)\s*", str(memory).upper().replace("E+", "e"), re.I
    )
    unit = _UNITS.get(found[2]) if found else None
    if found is None or unit is None or not float(found[1]) > 0.0:
        raise InputError(f"memory is {memory!r}; give bytes, or text such as '500 MB' or '1 GiB'")
    return int(float(found[1]) * unit)


def written(size: float) -> str:
    """Return a number of bytes as people write it, rounded up to its last digit.

    Example:
        >>> written(1.26 * 2**20)
        '1.3 MiB'
    """
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= scale:
            return f"{-(-10 * size // scale) / 10:g} {unit}"
    return f"{-(-size // 1):g} bytes"


def bytes_kept(call: Callable[[int], object], examples: int) -> float:
    """Return what one more example adds to what autograd keeps of a call.

    Args:
        call: With so many examples.
        examples: That there are; no more than four are needed.
    """

    def kept(count: int) -> int:
        sizes: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.enable_grad(), saved_tensors_hooks(keep, lambda tensor: tensor):
            answer = call(count)  # held, so that no two storages share an address
        del answer
        return sum(sizes.values())

    more = min(4, examples)
    few = more // 2
    return max(0, kept(more) - kept(few)) / (more - few) if few else float(kept(1))


def flops_of(call: Callable[[], object]) -> float:
    """Return the floating point operations of a call's products and convolutions; 0 where they cannot be counted."""
    counter = flop_counter()
    try:
        with torch.no_grad(), counter:
            call()
    except Exception:  # of compiled code, which allows no counting
        return 0.0
    return float(counter.get_total_flops())


def limits_of(
    vae: LatentVariableModel, batch: Tensor | Examples, memory: Memory | None = None, *, whole: bool = False
) -> Limits:
    """Return the limits of a diagnosis: by default those of one ELBO pass of such a batch.

    Args:
        vae: The model, in evaluation mode.
        batch: The first one.
        memory: Bytes that the work may take besides model and data; None for a part of the batch at a time.
        whole: Whether the data are this one batch, which the model needs whole.

    Raises:
        InputError: One example takes more.
    """
    few = batch if whole else batch[:2]
    model, x = conditioned(vae, few)
    with torch.no_grad():
        q = model.encode(x)
        z = model.equalization.sampled(q).rsample(torch.zeros(1, len(x), q.noise_dim, device=x.device))
    costs = [flops_of(call) / len(x) for call in (lambda: model.encode(x), lambda: model.decode(z).log_prob(x))]
    numbers = x[0].numel()
    if whole:
        return Limits(len(batch), None if memory is None else bytes_of(memory) / 4.0, True, *costs)
    most = max(-(-len(batch) // _PART), min(len(batch), _NUMBERS // (2 * numbers)))
    if memory is None:
        return Limits(most, None, False, *costs)
    allowed, each = bytes_of(memory), _TRANSIENT * _bytes_of_an_example(vae, batch)
    if each > allowed / 2.0:
        raise InputError(
            f"memory is {memory!r}, and one example with its gradients takes {written(each)}; the least that works is "
            f"{written(2.0 * each)}"
        )
    return Limits(max(1, min(most, int(allowed / 2.0 / each))), allowed / 4.0, False, *costs)


def _bytes_of_an_example(vae: LatentVariableModel, batch: Tensor | Examples) -> float:
    """What two draws of one example keep for their gradients, and x as the densities of both need it."""

    def passed(count: int) -> object:
        model, x = conditioned(vae, batch[:count])
        q = model.encode(x)
        eps = torch.zeros(2, count, q.noise_dim, device=x.device)
        return q, model.decode(model.equalization.sampled(q).rsample(eps)).log_prob(x)

    x = x_of(batch)
    return bytes_kept(passed, len(batch)) + 2.0 * x[0].numel() * max(x.element_size(), 4)
