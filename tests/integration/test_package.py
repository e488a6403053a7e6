"""What is handed to users: the wheel, the source, and how little an import of it brings along."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import lambda_vae

HOUSE = Path(lambda_vae.__file__).parent
PROJECT = Path(__file__).parents[2]

_NEWLY_LOADED = """
import sys
import torch
before = set(sys.modules)
import lambda_vae
for names in ("", *sys.argv[1:]):
    for name in names.split():
        getattr(lambda_vae, name)
    print(*{name.partition(".")[0] for name in set(sys.modules) - before})
"""

#: Slow to load, and needed for reports, probes, training or extras alone.
HEAVY = {
    "PIL", "accelerate", "datasets", "diffusers", "huggingface_hub", "jinja2", "jsonargparse", "lightning",
    "matplotlib", "onnx", "onnxruntime", "onnxscript", "pandas", "plotly", "pooch", "pyro", "pythae", "requests",
    "rich", "scipy", "scvi", "sklearn", "tensorboard", "torchmetrics", "zuko",
}  # fmt: skip


#: What an extra brings, or what only probes, pages and trackers need.
NEVER = {
    "datasets", "diffusers", "huggingface_hub", "lightning", "onnx", "onnxruntime", "onnxscript", "plotly", "pyro",
    "pythae", "scipy", "scvi", "sklearn", "tensorboard", "torchmetrics",
}  # fmt: skip


def test_who_wants_little_waits_for_little():
    little = ("VarianceEqualizer", "diagnose equalize CollapseMonitor EqualizedNormal", "VAE ELBO")
    much = ("train from_pretrained export_run push_to_hub",)
    words = [sys.executable, "-c", _NEWLY_LOADED, *little, *much]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    *small, whole = (set(line.split()) for line in done.stdout.splitlines())
    assert [loaded & HEAVY for loaded in small] == [set()] * 4
    assert all("lambda_vae" in loaded for loaded in (*small, whole))
    assert whole & NEVER == set()


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """Wheel and source, built here without a network."""
    pytest.importorskip("hatchling", reason="the extra lambda-vae[dev] is not installed")
    if not (PROJECT / "pyproject.toml").is_file():
        pytest.skip("these tests do not lie beside the project's source")
    out = tmp_path_factory.mktemp("dist")
    build = "import sys; from hatchling.build import *; build_wheel(sys.argv[1]); build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, out], cwd=PROJECT, check=True, capture_output=True)
    return out


def test_the_wheel_is_the_house_and_nothing_else(dist):
    (path,) = dist.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        (points,) = (wheel.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    inside = {name for name in names if not name.startswith(f"lambda_vae-{lambda_vae.__version__}.dist-info/")}
    there = {path for path in HOUSE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert inside == {f"lambda_vae/{path.relative_to(HOUSE).as_posix()}" for path in there}
    assert {"lambda_vae/py.typed", "lambda_vae/reports/published.json"} < inside
    assert any(name.endswith(".html.jinja") for name in inside)
    assert any("/recipes/table1/" in name for name in inside)
    assert {Path(name).suffix for name in inside} == {".py", ".typed", ".json", ".jinja", ".js", ".css", ".yaml"}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "lambda-vae = lambda_vae.cli:main" in points


def test_the_source_holds_what_it_takes_to_test_it(dist):
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as source:
        assert all(member.isfile() for member in source)
        names = {name.partition("/")[2] for name in source.getnames()}
    assert {"README.md", "LICENSE", "pyproject.toml", "constraints.txt", "src/lambda_vae/py.typed"} < names
    assert "tests/integration/test_package.py" in names
    tops = {name.partition("/")[0] for name in names}
    assert tops <= {
        "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "Makefile", "PKG-INFO", "README.md", "benchmarks",
        "census", "constraints.txt", "docs", "noxfile.py", "pyproject.toml", "results", "src", "tests", ".gitignore",
    }  # fmt: skip
    names = {name for name in names if not name.startswith("tests/training/old/")}  # checkpoints of the last release
    odd = ("__pycache__", ".pyc", "checkpoints/", ".safetensors", "_build/")
    assert not [name for name in names if name.startswith("runs/") or any(part in name for part in odd)]
