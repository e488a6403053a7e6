"""A draw repeated with its normal noise set to a constant: it shows mu, sigma, and whether z is affine in the noise."""

import random
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lambda_vae.equalizing.draws.put_back import undone

__all__ = ["Repeated", "probing", "repeated"]

#: The threads that are repeating a draw, while others may train.
_REPEATING: list[int] = []

_STANDARD = {"randn", "randn_like"}
_NORMAL = {"normal", "normal_", "normal_functional"}


@dataclass(eq=False)
class Repeated(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A repeated draw: its random numbers, and what the host returned.

    Args:
        noise: The constant that replaces normal noise; None for the noise itself.
        out: What the host returned.
        normal: The number of elements of each normal noise.
        other: Names of the other random operations.
        noises: The normal noise, standardised, where it was not replaced.
        shifted: Whether the noise has its own mean and std, as in torch.normal(mu, std), which passes no gradient.
        generators: The generators that were used, each with its state before.
    """

    noise: float | None
    out: Any = None
    normal: list[int] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    noises: list[Tensor] = field(default_factory=list)
    shifted: bool = False
    generators: list[tuple[torch.Generator, Tensor]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        for one in (*args, *named.values()):
            if isinstance(one, torch.Generator) and all(one is not known for known, _ in self.generators):
                self.generators.append((one, one.get_state()))
        answer = func(*args, **named)
        name = func.overloadpacket.__name__
        if name in _STANDARD or name in _NORMAL:
            self.normal.append(answer.numel())
            mean, std = _mean_and_std(name, args, named)
            self.shifted |= name == "normal" and not (bool(torch.eq(torch.as_tensor(std), 1.0).all()))
            if self.noise is None:
                self.noises.append((answer.double() - mean) / std)
            else:
                answer.copy_(torch.as_tensor(mean + self.noise * std))
        elif torch.Tag.nondeterministic_seeded in func.tags:
            self.other.append(name)
        return answer


def repeated(call: Callable[[], Any], module: nn.Module, noise: float | None, *, fresh: bool = False) -> Repeated:
    """Return the result of a call with all normal noise set to a constant; all state is restored afterwards.

    Each random operation of torch still runs, so that others, such as a dropout's, draw what they would have drawn.

    Args:
        call: The host's draw.
        module: Whose buffers and attributes are restored with the generators.
        noise: The constant, or None for the noise itself.
        fresh: Use another state of the generators.
    """
    run = Repeated(noise)
    _REPEATING.append(threading.get_ident())
    try:
        with undone(module), torch.no_grad():
            if fresh:
                _reseeded()
            with run:
                run.out = call()
    finally:
        _REPEATING.remove(threading.get_ident())
        for generator, state in run.generators:
            generator.set_state(state)
    return run


def probing() -> bool:
    """Return whether a draw is being repeated, on which no site acts."""
    return bool(_REPEATING) and (torch.compiler.is_compiling() or threading.get_ident() in _REPEATING)


def _mean_and_std(name: str, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
    if name in _STANDARD:
        return 0.0, 1.0
    own = args if name == "normal" else args[1:]  # normal_ has the tensor itself before them
    mean = named.get("mean", own[0] if own else 0.0)
    return mean, named.get("std", own[1] if len(own) > 1 else 1.0)


def _reseeded() -> None:
    seed = torch.initial_seed() + 1
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # else torch keeps the seed for when it is
        torch.cuda.manual_seed_all(seed)
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)
