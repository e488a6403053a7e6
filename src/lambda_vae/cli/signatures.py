"""Signatures and docstrings as the source has them: help, and complaints about options, wait for no import of torch."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from inspect import Parameter
from pathlib import Path
from typing import Any

import docstring_parser

__all__ = ["Option", "Source", "source"]

_ROOT = Path(__file__).parents[2]


def source(name: str) -> "Source":
    """Return what the source says of a function or a dataclass of this package.

    Args:
        name: MODULE:NAME, below `lambda_vae`.

    Example:
        >>> [option.name for option in source("cli.asking:theory").options]
        ['delta', 'latent_dim', 'max_exponent', 'out']
    """
    module, _, own = name.partition(":")
    found = _module(f"lambda_vae.{module}")[own]
    assert isinstance(found, Source), name
    return found


@dataclass(frozen=True)
class Option:
    """A parameter of a function or a field of a dataclass, its type and default looked up on demand.

    Args:
        name: Its.
        module: Where the names in its type and its default are known.
        written: The type.
        value: The default, if there is one.
        meaning: What the docstring says.
        kind: As in `inspect.Parameter`.
    """

    name: str
    module: "_Module"
    written: ast.expr
    value: ast.expr | None
    meaning: str | None
    kind: Any

    @property
    def default(self) -> Any:
        """The default; `Parameter.empty` if there is none."""
        return Parameter.empty if self.value is None else self.module.value_of(self.value)

    @cached_property
    def marks(self) -> list[Any]:
        """The type, and what `Annotated` adds to it."""
        match self.written:
            case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=marks)):
                return [self.module.value_of(mark) for mark in marks]
        return [self.module.value_of(self.written)]


@dataclass(frozen=True)
class Source:
    """A function or a dataclass that is not imported.

    Args:
        module: Where it is defined.
        node: Its definition.
    """

    module: "_Module"
    node: ast.FunctionDef | ast.ClassDef

    def load(self) -> Any:
        """Return the function or the class itself."""
        return getattr(import_module(self.module.name), self.node.name)

    @cached_property
    def summary(self) -> str:
        """The first sentence of its docstring."""
        return self._doc.short_description or ""

    @cached_property
    def options(self) -> list[Option]:
        """Its parameters or fields in their order, those of base classes first."""
        if isinstance(self.node, ast.ClassDef):
            bases = [base for base in map(self.module.value_of, self.node.bases) if isinstance(base, Source)]
            return [option for base in bases for option in base.options] + [*self._fields(self.node)]
        given = self.node.args
        required: list[ast.expr | None] = [None] * (len(given.args) - len(given.defaults))
        words = zip(given.args, [*required, *given.defaults], strict=True)
        others = zip(given.kwonlyargs, given.kw_defaults, strict=True)
        return [
            *(self._option(one, value, Parameter.POSITIONAL_OR_KEYWORD) for one, value in words),
            *(self._option(one, value) for one, value in others),
            *(self._option(one, None, Parameter.VAR_KEYWORD) for one in filter(None, [given.kwarg])),
        ]

    @cached_property
    def _doc(self) -> docstring_parser.Docstring:
        return docstring_parser.parse(ast.get_docstring(self.node) or "")

    def _fields(self, node: ast.ClassDef) -> Iterator[Option]:
        for line in node.body:
            match line:
                case ast.AnnAssign(target=ast.Name(id=name)) if "ClassVar" not in ast.unparse(line.annotation):
                    yield self._option(ast.arg(name, line.annotation), line.value)

    def _option(self, one: ast.arg, value: ast.expr | None, kind: Any = Parameter.KEYWORD_ONLY) -> Option:
        meaning = next((each.description for each in self._doc.params if each.arg_name == one.arg), None)
        assert one.annotation is not None, f"{self.node.name}: {one.arg} has no type"
        return Option(one.arg, self.module, one.annotation, value, meaning, kind)


class _Module:
    """The names of a module, each looked up when it is asked for: only what lies outside this package is imported."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self._names = name, dict[str, Any]()
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for node in [*(line for block in body if isinstance(block, ast.If) for line in block.body), *body]:
            match node:
                case ast.FunctionDef(name=own) | ast.ClassDef(name=own):
                    self._names[own] = Source(self, node)
                case ast.Assign(targets=[ast.Name(id=own)]) | ast.AnnAssign(target=ast.Name(id=own)):
                    self._names[own] = node.value
                case ast.Import(names=names) | ast.ImportFrom(names=names):
                    where = getattr(node, "module", None)
                    self._names |= {one.asname or one.name: (where, one.name) for one in names}

    def __getitem__(self, name: str) -> Any:
        match self._names[name]:
            case ast.expr() as written:
                return self.value_of(written)
            case (None, module):
                return import_module(module)
            case (module, own):
                return _imported(module, own)
            case found:
                return found

    __getattr__ = __getitem__

    def value_of(self, written: ast.expr) -> Any:
        """Return what an expression is."""
        return eval(compile(ast.Expression(written), self.name, "eval"), {}, self)  # type: ignore[arg-type]


@cache
def _module(name: str) -> _Module:
    return _Module(name, next(path for path in _files(name) if path.is_file()))


def _files(name: str) -> tuple[Path, Path]:
    path = _ROOT.joinpath(*name.split("."))
    return path / "__init__.py", path.with_suffix(".py")


def _imported(module: str, name: str) -> Any:
    whole = f"{module}.{name}"
    if not module.startswith("lambda_vae"):
        return getattr(import_module(module), name)
    return _module(whole) if any(path.is_file() for path in _files(whole)) else _module(module)[name]
