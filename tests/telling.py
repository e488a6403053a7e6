"""Which test files tell most of a change: those that import what differs from main, the nearest first.

`python tests/telling.py` prints them, and the changed sources, whose examples are tests too, for `make test-quick`.
"""

import ast
import subprocess
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE, TESTS = ROOT / "src", ROOT / "tests"

#: Run whatever differs: what the package looks like, and what a command line and a model do.
ALWAYS = ("tests/test_architecture.py", "tests/test_model.py", "tests/test_cli.py")


@cache
def _modules() -> dict[str, Path]:
    """Every module by the names that tests and sources import it under; tests see each other by their bare names."""
    found = {path.stem: path for path in TESTS.rglob("*.py")}
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def _imports(path: Path) -> tuple[tuple[str, str], ...]:
    """Module and name of each import of a file, wherever in it; the name is empty for a whole module."""
    found, here = [], list(path.relative_to(SOURCE).parts[:-1]) if path.is_relative_to(SOURCE) else []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = here[: len(here) + 1 - node.level] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            found += [(module, alias.name) for alias in node.names]
    return tuple(found)


def _defining(module: str, name: str) -> Path | None:
    """The file that a name comes from; a package hands on what its modules define."""
    whole = _modules().get(f"{module}.{name}") if name else None
    path = whole or _modules().get(module)
    if path is not None and whole is None and path.name == "__init__.py":
        for inner, given in _imports(path):
            if given == name and inner != module:
                return _defining(inner, name)
    return path


@cache
def _needs(path: Path) -> frozenset[Path]:
    return frozenset(filter(None, (_defining(*one) for one in _imports(path)))) - {path}


def _distances(test: Path) -> dict[Path, int]:
    """How many imports lie between a test file and everything it needs."""
    distances, waiting = {test: 0}, deque([test])
    while waiting:
        path = waiting.popleft()
        for needed in _needs(path) - distances.keys():
            distances[needed] = distances[path] + 1
            waiting.append(needed)
    return distances


def _touched(names: Iterable[str]) -> Iterator[Path]:
    """The modules that a changed file stands for: itself, or for a template or a table those beside it or above."""
    for name in names:
        path = ROOT / name
        if path.suffix == ".py" and path.exists():
            yield path
        elif path.is_relative_to(SOURCE) and path.suffix != ".py":
            yield from next(found for folder in path.parents if (found := sorted(folder.glob("*.py"))))


def telling(names: Iterable[str], most: int = 40) -> list[str]:
    """Test files for changed files, both relative to the project; at most so many, and `ALWAYS`."""
    names = list(names)
    touched, ranked = set(_touched(names)), []
    for test in sorted(TESTS.rglob("test_*.py")):
        distances = _distances(test)
        near = [distances[path] for path in touched & distances.keys()]
        if near:  # by its name; of two as near, the one that needs less is the more particular
            alike = any(path.stem.strip("_") in test.stem for path in touched)
            order = (min(near) > 0, not alike, min(near), -len(near), len(_needs(test)))
            ranked.append((order, test.relative_to(ROOT).as_posix()))
    sources = [name for name in names if name.startswith("src/") and ROOT / name in touched]
    return list(dict.fromkeys([*sources, *(name for _, name in sorted(ranked)[:most]), *ALWAYS]))


def changed(since: str = "main") -> list[str]:
    """What differs from where the branch left another, new files among it."""

    def git(*words: str) -> list[str]:
        return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")

    (base,) = filter(None, git("merge-base", "HEAD", since))
    return [name for name in (*git("diff", "--name-only", base), *git("ls-files", "-o", "--exclude-standard")) if name]


if __name__ == "__main__":
    print(*telling(changed()))
