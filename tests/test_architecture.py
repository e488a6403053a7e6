"""The shape of the house, read from its source: which room may import which, and how long anything may get."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import lambda_vae

HOUSE = Path(lambda_vae.__file__).parent
PROJECT = Path(__file__).parent.parent

#: From the ground to the roof; a room imports only from floors below its own.
FLOORS = (
    {"errors", "files", "checked", "deprecated", "lazy", "rng"},
    {"equalization", "text"},
    {"distributions", "data"},
    {"posteriors", "priors", "networks"},
    {"model"},
    {"estimation"},
    {"diagnostics", "objectives", "records", "equalizing", "likelihoods"},
    {"reports", "training", "generation"},
    {"methods", "any_vae"},
    {"runs"},
    {"comparisons", "measures", "sharing", "integrations"},
    {"paper"},
    {"cli"},
)

#: Narrower than the floors. `data` stands apart, and reports read records, never models.
ONLY = {
    "checked": {"errors"},
    "files": {"errors"},
    "data": {"errors", "checked", "files", "rng", "deprecated", "lazy", "text"},
    "text": {"errors", "checked"},
    "records": {"errors", "checked", "files", "equalization", "deprecated"},
    "reports": {"errors", "files", "equalization", "records", "deprecated"},
}

LONGEST_FILE, LONGEST_FUNCTION = 400, 50


def modules(house: Path = HOUSE) -> list[Path]:
    return sorted(house.rglob("*.py"))


def room_of(path: Path, house: Path = HOUSE) -> str:
    """The first name below lambda_vae; "" for lambda_vae/__init__.py itself."""
    first = path.relative_to(house).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imported(path: Path) -> Iterator[str]:
    """Full names of all modules that a file imports, those inside functions and `if` included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; name the room"
            # `from lambda_vae import data` names the room in its second half.
            whole = node.module == "lambda_vae"
            yield from (f"lambda_vae.{alias.name}" for alias in node.names) if whole else (str(node.module),)


def allowed(room: str) -> set[str]:
    """The rooms that a room may import, itself among them."""
    if room == "":
        return set().union(*FLOORS)
    floor = next((height for height, rooms in enumerate(FLOORS) if room in rooms), None)
    assert floor is not None, f"the room {room!r} stands on no floor; give it one in FLOORS"
    return {room} | ONLY.get(room, set().union(*FLOORS[:floor]))


def wrong_arrows(house: Path) -> list[str]:
    """Every import against the floors, as "file -> module"."""
    wrong = []
    for path in modules(house):
        may = allowed(room_of(path, house))
        for name in imported(path):
            first, _, rest = name.partition(".")
            if first == "lambda_vae" and rest.partition(".")[0] not in may:
                wrong.append(f"{path.relative_to(house).as_posix()} -> {name}")
    return wrong


def circles(house: Path) -> set[tuple[str, ...]]:
    """The modules, without "lambda_vae.", of each import that leads back to where it began, annotations included."""
    names = {".".join(path.relative_to(house).with_suffix("").parts): path for path in modules(house)}
    graph: dict[str, set[str]] = {}
    for name, path in names.items():
        found = {module.removeprefix("lambda_vae.") for module in imported(path)}
        graph[name] = {module for module in found if module in names and not path.match("__init__.py")}
    back: set[tuple[str, ...]] = set()
    while True:
        try:
            list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            circle = error.args[1]
            graph[circle[1]].discard(circle[0])
            back.add(tuple(circle))
        else:
            return back


def function_lengths(path: Path) -> Iterator[tuple[str, int]]:
    """Name and number of lines of every function, its docstring left out (it may be as long as its reader needs)."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            first = node.body[0]
            if ast.get_docstring(node) is not None:
                lines -= (first.end_lineno or 0) - first.lineno + 1
            yield f"{path.name}:{node.lineno} {node.name}", lines


def test_imports_follow_the_floors() -> None:
    assert wrong_arrows(HOUSE) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("diagnostics/activity.py", "from lambda_vae.training import Trainer"),
        ("diagnostics/activity.py", "def f():\n    from lambda_vae.reports.page import write"),
        ("reports/page.py", "import lambda_vae.model"),
        ("reports/page.py", "from lambda_vae import model"),
        ("training/loop.py", "from lambda_vae.reports import write_report"),
        ("data/loading.py", "from lambda_vae.equalization import critical_std"),
        ("equalization/theory.py", "import lambda_vae.distributions as d"),
        ("objectives/elbo.py", "import lambda_vae"),
        ("priors/flow.py", "from lambda_vae.posteriors import GaussianPosterior"),
    ],
)
def test_an_arrow_against_the_floors_is_found(tmp_path: Path, file: str, line: str) -> None:
    path = tmp_path / file
    path.parent.mkdir()
    path.write_text(f"import torch\nfrom lambda_vae.errors import InputError\n{line}\n")
    assert len(wrong_arrows(tmp_path)) == 1


@pytest.mark.parametrize("house", [HOUSE, PROJECT / "census"])
def test_no_import_leads_back_to_where_it_began(house: Path) -> None:
    assert circles(house) == set()


def test_a_circle_is_found(tmp_path: Path) -> None:
    for name, other in (("loop", "state"), ("state", "steps"), ("steps", "loop")):
        path = tmp_path / "training" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"if TYPE_CHECKING:\n    from lambda_vae.training.{other} import Trainer\n")
    assert len(circles(tmp_path)) == 1


def loaded(nodes: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports that run when a file is imported: those in functions and for type checkers alone do not."""
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            skipped = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            inner = [] if skipped else [*getattr(node, "body", []), *getattr(node, "finalbody", [])]
            handled = [one for handler in getattr(node, "handlers", []) for one in handler.body]
            yield from loaded([*inner, *handled, *getattr(node, "orelse", [])])


def circle(house: Path) -> list[str]:
    """Files that import each other in a circle when they are loaded; none if there is no circle.

    A name that is imported from a package stands in the package's __init__.py, unless it is a file of it.
    """
    files = {}
    for path in modules(house):
        parts = ("lambda_vae", *path.relative_to(house).with_suffix("").parts)
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    graph: dict[str, set[str]] = {}
    for name, path in files.items():
        found = set()
        for node in loaded(ast.parse(path.read_text(encoding="utf-8")).body):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            else:
                whole = [f"{node.module}.{alias.name}" for alias in node.names]
                found |= {one if one in files else str(node.module) for one in whole}
        graph[name] = found & files.keys()
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circle(HOUSE) == []


@pytest.mark.parametrize(
    ("back", "found"),
    [
        ("from lambda_vae.training import Trainer", True),
        ("import lambda_vae.training.loop", True),
        ("try:\n    from lambda_vae.training.loop import Trainer\nexcept ImportError:\n    pass", True),
        ("class Step:\n    from lambda_vae.training.loop import Trainer", True),
        ("from lambda_vae.training import batch", False),
        ("def step():\n    from lambda_vae.training import Trainer", False),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lambda_vae.training import Trainer", False),
    ],
)
def test_a_circle_of_files_is_found(tmp_path: Path, back: str, found: bool) -> None:
    folder = tmp_path / "training"
    folder.mkdir()
    (folder / "__init__.py").write_text("from lambda_vae.training.loop import Trainer\n")
    (folder / "loop.py").write_text("from lambda_vae.training.step import Step\n\nclass Trainer: ...\n")
    (folder / "step.py").write_text(f"{back}\n")
    (folder / "batch.py").write_text("import torch\n")
    assert bool(circle(tmp_path)) == found


def test_a_room_on_no_floor_is_found(tmp_path: Path) -> None:
    (tmp_path / "attic.py").write_text("import torch\n")
    with pytest.raises(AssertionError, match="'attic' stands on no floor"):
        wrong_arrows(tmp_path)


#: Adapters of hosts import their extras, so nothing of theirs is public before one is imported by its own name.
PACKAGES = [path for path in sorted(HOUSE.rglob("__init__.py")) if path.parent.name != "integrations"]


def test_every_folder_is_a_package() -> None:
    """One without an `__init__.py` is imported all the same, and nobody sees that its public names are not listed."""
    folders = {path.parent for path in modules()}
    assert [folder.name for folder in folders if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: path.parent.name)
def test_every_package_lists_its_public_names(path: Path) -> None:
    name = ".".join(("lambda_vae", *path.parent.relative_to(HOUSE).parts))
    public = getattr(import_module(name), "__all__", None)
    assert public, f"{name} has no __all__"
    assert len(set(public)) == len(public)
    assert [one for one in public if not hasattr(import_module(name), one)] == []
    listed = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Assign | ast.AnnAssign)]
    written = [node.value for node in listed if "__all__" in ast.unparse(node).split("=")[0]]
    assert written, f"{name}.__all__ is not assigned in its __init__.py"
    assert ast.literal_eval(written[0]) == public  # by hand, not computed


def test_no_file_and_no_function_is_too_long() -> None:
    files = {path.relative_to(HOUSE).as_posix(): len(path.read_text().splitlines()) for path in modules()}
    functions = dict(pair for path in modules() for pair in function_lengths(path))
    assert {name: n for name, n in files.items() if n > LONGEST_FILE} == {}
    assert {name: n for name, n in functions.items() if n > LONGEST_FUNCTION} == {}


def test_no_test_file_is_too_long() -> None:
    tests = Path(__file__).parent
    files = {path.relative_to(tests).as_posix(): len(path.read_text().splitlines()) for path in modules(tests)}
    assert {name: n for name, n in files.items() if n > LONGEST_FILE} == {}


def test_no_room_is_named_after_nothing() -> None:
    assert [path for path in modules() if path.stem in {"utils", "util", "helpers", "misc", "common"}] == []


def test_every_import_is_a_declared_dependency() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    # Such an import stands where it is used, and fails in one sentence; lightning brings pytorch-lightning.
    optional = project["optional-dependencies"]
    extras = [one for name in optional.keys() - {"test", "dev", "docs", "bench"} for one in optional[name]]
    extras.append("pytorch-lightning")
    declared = {re.split(r"[\[<>=~! ]", one)[0].lower() for one in project["dependencies"] + extras}
    names = {name.split(".")[0] for path in modules() for name in imported(path)}
    outside = names - sys.stdlib_module_names - {"lambda_vae"}
    distributions = packages_distributions()
    given = {name: {one.lower() for one in distributions.get(name, [name])} for name in outside}
    assert {name for name, by in given.items() if not by & declared} == set()


#: These subclass what their packages have, which CI installs.
_AT_IMPORT = ("pythae", "scvi", "diffusers", "lightning", "pyro", "torchmetrics")


def test_an_adapter_imports_without_its_package() -> None:
    """`needed(...)` is called within functions: the documentation and the docstring tests import every module."""
    asked = {}
    for path in (HOUSE / "integrations").glob("*.py"):
        if not path.stem.startswith(_AT_IMPORT):
            tree = ast.parse(path.read_text())
            inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
            calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "needed"]
            asked[path.name] = [n.lineno for n in calls if id(n) not in inside]
    assert {name: lines for name, lines in asked.items() if lines} == {}


def test_shapes_are_of_numpys_own_class() -> None:
    """From numpy 2.5 on `NDArray[...]` is an alias that jaxtyping cannot look into, and the import fails."""
    wrong = re.compile(r"\b(Float|Int|Bool|Shaped|Num)\w*\[\s*NDArray\b")
    assert [path.name for path in HOUSE.rglob("*.py") if wrong.search(path.read_text())] == []


_GLOBAL_SETTINGS = """
import json, pkgutil, warnings
from importlib import import_module
import numpy as np, torch

def settings():
    return {
        "default dtype": str(torch.get_default_dtype()),
        "default device": str(torch.get_default_device()),
        "threads": torch.get_num_threads(),
        "interop threads": torch.get_num_interop_threads(),
        "matmul": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "gradients": torch.is_grad_enabled(),
        "anomalies": torch.is_anomaly_enabled(),
        "flush denormal": bool(torch.tensor(1e-40) == 0),
        "tf32": [torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32],
        "cudnn": [torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic],
        "distributions check": torch.distributions.Distribution._validate_args,
        "print options": str(torch._tensor_str.PRINT_OPTS),
        "torch generator": torch.get_rng_state().sum().item(),
        "numpy generator": int(np.random.get_state()[1].sum()) + np.random.get_state()[2],
        "warning filters for ours": [str(f) for f in warnings.filters if "lambda_vae" in str(f)],
    }

before = settings()
import lambda_vae
for module in pkgutil.walk_packages(lambda_vae.__path__, "lambda_vae."):
    if ".integrations." not in module.name:  # what a host's own import does is the host's affair: scvi-tools sets cudnn
        import_module(module.name)
print(json.dumps([before, settings()]))
"""


def test_importing_changes_no_global_setting() -> None:
    done = subprocess.run([sys.executable, "-c", _GLOBAL_SETTINGS], capture_output=True, text=True, check=True)
    before, after = json.loads(done.stdout.splitlines()[-1])
    assert after == before
