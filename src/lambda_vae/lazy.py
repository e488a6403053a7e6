"""Packages whose names are imported when they are first asked for, so that who wants one does not wait for all."""

import ast
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

__all__ = ["on_first_use"]


def on_first_use(package: str, otherwise: Callable[[Any, str, str], Any] | None = None) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package: it imports what stands below the package's own `if TYPE_CHECKING:`.

    Args:
        package: Its `__name__`.
        otherwise: Called with the package, its name and a name that it does not have; an AttributeError if None.
    """

    def fetch(name: str) -> Any:  # noqa: ANN401 - any public name
        module = sys.modules[package]
        if name in (homes := _homes(package)):
            home = import_module(homes[name])
            found = import_module(f"{package}.{name}") if home is module else getattr(home, name)
            setattr(module, name, found)
            return found
        if otherwise is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return otherwise(module, package, name)

    return fetch


@cache
def _homes(package: str) -> dict[str, str]:
    """The module of each name that the package imports for type checkers alone."""
    loader = getattr(sys.modules[package], "__loader__", None)
    source = loader.get_source(package) if loader else ""
    blocks = [node.body for node in ast.parse(source).body if isinstance(node, ast.If)]
    imports = [node for body in blocks for node in body if isinstance(node, ast.ImportFrom)]
    return {one.name: str(node.module) for node in imports for one in node.names}
