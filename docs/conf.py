"""Sphinx: the documentation is built with warnings as errors, and every room of the package must be on a page."""

import os
import re
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

project = "lambda-vae"
author = "The lambda-vae maintainers"
project_copyright = author
release = version = installed_version("lambda-vae")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "jupyter_execute"]
html_theme = "furo"
html_title = "lambda-vae"
default_role = "code"

myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
nb_render_markdown_format = "myst"
# Pages run commands too: those of the environment that builds them.
os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")  # tqdm misses its widgets, which nobody would see

napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Source"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_use_unqualified_type_names = True

_HERE = Path(__file__).parent
_HOUSE = _HERE.parent / "src" / "lambda_vae"
_FIGURES = _HERE.parent / "results" / "figures"
_CENSUS = _HERE.parent / "results" / "census.md"
_ROOM_LINE = re.compile(r"^MODULES OF (\w+)$", re.MULTILINE)


def _modules_of(room: str) -> list[str]:
    """Full names of a room's modules, without its `__init__`, which only repeats names."""
    files = [_HOUSE / f"{room}.py"] if (_HOUSE / f"{room}.py").is_file() else sorted((_HOUSE / room).rglob("*.py"))
    parts = (path.relative_to(_HOUSE).with_suffix("").parts for path in files if not path.stem.startswith("__"))
    return [".".join(("lambda_vae", *names)) for names in parts]


def _section(module: str) -> str:
    return f"## {module.removeprefix('lambda_vae.')}\n\n```{{eval-rst}}\n.. automodule:: {module}\n   :members:\n```\n"


def _expand_modules(app: Sphinx, name: str, source: list[str]) -> None:
    """A line `MODULES OF room` becomes the sections of all its modules."""
    source[0] = _ROOM_LINE.sub(lambda match: "\n".join(map(_section, _modules_of(match[1]))), source[0])


def _expand_figures(app: Sphinx, name: str, source: list[str]) -> None:
    """A line `ALL FIGURES` becomes the pages in results/figures, one heading lower, their pictures found from here."""
    pages = [path.read_text(encoding="utf-8") for path in sorted(_FIGURES.glob("figure*.md"))]
    whole = "\n".join(re.sub(r"^(#+ )", r"#\1", page, flags=re.MULTILINE) for page in pages)
    found = re.sub(r"\]\((figure\w+\.svg)\)", r"](../results/figures/\1)", whole)
    source[0] = re.sub(r"^ALL FIGURES$", lambda _: found, source[0], flags=re.MULTILINE)


def _expand_census(app: Sphinx, name: str, source: list[str]) -> None:
    """A line `CENSUS: heading` becomes what results/census.md has below that heading."""

    def below(match: re.Match[str]) -> str:
        found = re.search(
            rf"^## {match[1]}\n(.*?)(?=^## )", _CENSUS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        )
        if found is None:
            raise ExtensionError(f"{name}: results/census.md has no heading {match[1]}")
        return found[1].replace("](../docs/", "](")

    source[0] = re.sub(r"^CENSUS: (.+)$", below, source[0], flags=re.MULTILINE)


def _check_rooms() -> None:
    pages = "".join(page.read_text() for page in (_HERE / "api").glob("*.md"))
    written = set(_ROOM_LINE.findall(pages))
    rooms = {path.stem for path in _HOUSE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    if written != rooms - {"__init__"}:
        raise ExtensionError(
            f"docs/api must name every package and module once; these differ: {written ^ (rooms - {'__init__'})}"
        )


def _plain_text(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """The docstrings are prose, not reStructuredText: a bar or a lone star in them is meant as it stands."""
    formula, example = False, False
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if line.strip().startswith(".. math::"):
            formula, depth = True, indent
            continue
        formula = formula and (not line.strip() or indent > depth)
        example = bool(line.strip()) and (example or line.strip().startswith(">>>"))
        if not formula and not example:
            outside = re.split(r"(`[^`]*`|\*\*[^*]+\*\*)", line)
            outside[::2] = [re.sub(r"([|*]|_(?=\W|$))", r"\\\1", part) for part in outside[::2]]
            lines[i] = "".join(outside)


def setup(app: Sphinx) -> None:
    """Register the hooks; the one on docstrings runs before napoleon reads their sections."""
    _check_rooms()
    app.connect("source-read", _expand_modules)
    app.connect("source-read", _expand_figures)
    app.connect("source-read", _expand_census)
    app.connect("autodoc-process-docstring", _plain_text, priority=100)
