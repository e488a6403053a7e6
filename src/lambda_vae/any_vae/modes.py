"""Whether a callable is answered by modules in train mode, where dropout and batch norm answer differently."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from lambda_vae.any_vae.behind import modules_behind
from lambda_vae.errors import InputError
from lambda_vae.estimation.batching import eval_mode

__all__ = ["evaluated", "require_eval"]

_TORCH = str(Path(torch.__file__).parent)

#: Their speed alone depends on the mode; but in eval mode they do not call their parts one by one.
_TRANSFORMERS = (nn.TransformerEncoder, nn.TransformerEncoderLayer)


def evaluated(*functions: Callable[..., Any]) -> AbstractContextManager[None]:
    """Return a context in which the modules behind the callables are in eval mode."""
    return eval_mode(*(root for function in functions for root in modules_behind(function).values()))


def require_eval(what: str, function: Callable[..., Any], call: Callable[[], object]) -> None:
    """Raise if a module that answers a callable is in train mode, and answers differently there.

    The callable is called once, in eval mode, and only where one of its modules is in train mode: a module that it does
    not use, or that holds nothing that depends on the mode, does no harm.

    Raises:
        InputError: With the call that mends it.
    """
    roots = modules_behind(function)
    training = {id(module) for root in roots.values() for module in root.modules() if module.training}
    if not training:
        return
    with evaluated(function), torch.no_grad(), torch.random.fork_rng():
        culprits = [one for one in _readers_of_the_mode(call, roots) if id(one) in training]
    if not culprits:
        return
    name, root = next(
        ((name, root) for name, root in roots.items() if any(culprits[0] is module for module in root.modules())),
        ("", culprits[0]),
    )
    kind, own = type(root).__name__, type(culprits[0]).__name__
    raise InputError(
        f"{what} uses {kind} in train mode, where {'it' if root is culprits[0] else f'its {own}'} answers differently; "
        f"call {name if name.isidentifier() and name != kind else 'model'}.eval() before"
    )


def _readers_of_the_mode(call: Callable[[], object], roots: dict[str, nn.Module]) -> list[nn.Module]:
    """The modules that run, and whose code asks for their mode to some effect."""
    if sys.getprofile() is not None:  # somebody's profiler has the only place from which this can be seen
        return [module for root in roots.values() for module in root.modules() if _depends_on_the_mode(module)]
    found: list[nn.Module] = []

    def see(frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if event != "call":
            return
        own = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
        if isinstance(own, nn.Module) and _compiled(own):
            found.extend(own.modules())  # what they run is not seen
        elif isinstance(own, _TRANSFORMERS):
            found.extend(module for module in own.modules() if _depends_on_the_mode(module))
        elif "training" in code.co_names and not code.co_filename.startswith(_TORCH):
            # A function of the user's may ask for the mode of any module; a method asks for its own.
            found.extend([own] if isinstance(own, nn.Module) else roots.values())
        elif isinstance(own, nn.Module) and _asks(code) and _depends_on_the_mode(own):
            found.append(own)

    sys.setprofile(see)
    try:
        call()
    finally:
        sys.setprofile(None)
    return found


def _compiled(module: nn.Module) -> bool:
    return isinstance(module, torch.jit.ScriptModule) or "_orig_mod" in vars(module).get("_modules", ())


def _asks(code: CodeType) -> bool:
    return "training" in code.co_names


def _depends_on_the_mode(module: nn.Module) -> bool:
    """Whether a module of torch answers differently in train mode; another, whether its code asks for the mode."""
    if isinstance(module, _DropoutNd):
        return module.p > 0.0
    if isinstance(module, _NormBase):
        return module.running_mean is not None
    if isinstance(module, nn.RNNBase):
        return bool(module.dropout > 0.0 and module.num_layers > 1)
    if isinstance(module, nn.MultiheadAttention):
        return bool(module.dropout > 0.0)
    if isinstance(module, _TRANSFORMERS):
        return False
    own = [kind for kind in type(module).__mro__ if issubclass(kind, nn.Module) and kind is not nn.Module]
    methods = [method for kind in own for method in vars(kind).values()]
    return any(_asks(method.__code__) for method in methods if hasattr(method, "__code__"))
