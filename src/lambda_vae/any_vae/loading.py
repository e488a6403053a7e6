"""`package.module:function`, the user's own description of a model, found by its name."""

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from inspect import Parameter, signature
from typing import Any

from lambda_vae.errors import InputError

__all__ = ["Adapter", "load_adapter"]

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True, eq=False)
class Adapter:
    """What the user's function returned.

    Args:
        encode: x -> (mu, logvar).
        log_likelihood: (x, z) -> log p(x|z); None where there is none.
        data: Batches; None where the function leaves them to the command line.
        options: Of `diagnose`, by name.
    """

    encode: Callable[..., Any]
    log_likelihood: Callable[..., Any] | None
    data: object = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def callables(self) -> tuple[Any, Any]:
        """`encode` and `log_likelihood`."""
        return self.encode, self.log_likelihood


def load_adapter(name: str) -> Adapter:
    """Return what the function `package.module:function` gives; nothing but the user's own module is run for it.

    The module is looked for as `python -m` would: in the current folder first.

    Args:
        name: The function takes no argument and returns (encode, log_likelihood), (encode, log_likelihood, data) or
            (encode, log_likelihood, data, options), options being a dict for `diagnose`.

    Raises:
        InputError: No such module or function, or something else came back.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"the adapter is {name!r}; write it package.module:function")
    module_name, _, function_name = name.partition(":")
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # something that the user's module itself imports
        raise InputError(f"there is no module {error.name!r} in {here} or among the installed packages") from None
    finally:
        sys.path.remove(here)
    function = getattr(module, function_name, None)
    if not callable(function):
        raise InputError(f"{module_name} has no function {function_name!r}; define it, without arguments")
    if wanted := [one.name for one in signature(function).parameters.values() if _required(one)]:
        raise InputError(f"{name} wants {', '.join(wanted)}; it is called without arguments, so give each a default")
    return _adapter(name, function())


def _required(parameter: Parameter) -> bool:
    gathers = parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    return parameter.default is Parameter.empty and not gathers


def _adapter(name: str, parts: object) -> Adapter:
    if not isinstance(parts, tuple) or len(parts) not in (2, 3, 4) or not _callable(*parts[:2]):
        raise InputError(
            f"{name} returned a {type(parts).__name__}; it must end in `return encode, log_likelihood` or "
            "`return encode, log_likelihood, data`, with a dict of diagnose's options behind them if need be"
        )
    if len(parts) == 4 and not isinstance(parts[3], Mapping):
        raise InputError(f"{name} returned a {type(parts[3]).__name__} as its fourth; it must be a dict of options")
    return Adapter(*parts)


def _callable(encode: object, log_likelihood: object) -> bool:
    return callable(encode) and (log_likelihood is None or callable(log_likelihood))
