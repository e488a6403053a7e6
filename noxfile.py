"""Every Python the package speaks for, with the oldest torch it allows, the one it is tested with, and a newer one.

`nox` runs what this machine has interpreters for; `nox -s "tests-3.13(pinned)" -- tests/theory` one of them, in part.
"""

import re
from pathlib import Path
from typing import NamedTuple

import nox

PYTHONS = ("3.11", "3.12", "3.13", "3.14")

#: torch has no wheels of that release for Pythons that came later.
OLDEST_HAS = ("3.11", "3.12", "3.13")

HERE = Path(__file__).parent


def stated(file: str, pattern: str) -> str:
    """Return what stands in a file of the project, so that no version stands in two places."""
    return re.findall(pattern, (HERE / file).read_text(encoding="utf-8"), re.MULTILINE)[0]


OLDEST = stated("pyproject.toml", r'"torch>=([\d.]+)"') + ".0"
PINNED = stated("constraints.txt", r"^torch==(\S+)$")

#: Newer than the pin, so that what torch takes away is noticed before users meet it. To be raised by hand: a run of it
#: must have passed, and each release is a download of gigabytes.
NEWEST = "2.14.1"

TORCHES = {"oldest": OLDEST, "pinned": PINNED, "newest": NEWEST}

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.stop_on_first_error = False


@nox.session(python=PYTHONS)
@nox.parametrize("torch", [nox.param(version, id=name) for name, version in TORCHES.items()])
def tests(session: nox.Session, torch: str) -> None:
    """Run the tests, those of the hosts left out where a host is not installed."""
    if torch == OLDEST and session.python not in OLDEST_HAS:
        session.skip(f"torch {OLDEST} has no wheel for Python {session.python}")
    session.install("-e", ".[test,hub,export]", f"torch=={torch}")
    words = session.posargs or ["-n", "2", "tests"]
    checks = "--jaxtyping-packages=lambda_vae,typechecker.check"
    session.run("python", "-m", "pytest", checks, *words, env={"OMP_NUM_THREADS": "1"})


@nox.session(python=PYTHONS)
def package(session: nox.Session) -> None:
    """Install the wheel alone, without an extra, and train, diagnose and share with it."""
    session.install("-c", "constraints.txt", ".")
    session.chdir(session.create_tmp())
    session.run("lambda-vae", "--help", silent=True)
    session.run("lambda-vae", "train", "--data", "digits", "--epochs", "2", "--iw_samples", "4", "--out", "run")
    session.run("lambda-vae", "diagnose", "run", silent=True)
    session.run("lambda-vae", "share", "run", "--out", "shared")


class Heavy(NamedTuple):
    """A host that is too heavy, or wants too much of an environment of its own, for the tests that every change runs.

    Args:
        requires: What it needs beside the tests.
        last: When, and how, its contract, page and own tests last ran.
        no_deps: What is installed without its own dependencies.
        python: The interpreter.
    """

    requires: tuple[str, ...]
    last: str
    no_deps: tuple[str, ...] = ()
    python: str = "3.11"


HEAVY = {
    # scikit-learn < 1.8 and pydantic < 2
    "mlcolvar": Heavy(("mlcolvar==1.3.1",), "2026-11-30: passed"),
    # torchvision, which multivae imports and tests/conftest.py makes importable beside a torch without CUDA
    "multivae": Heavy(("multivae==1.0.3", "torchvision==0.28.0"), "2026-11-30: 27 passed, in an environment by hand"),
    "ctm": Heavy(("contextualized-topic-models==2.6.1",), "2026-11-30: 15 passed, in an environment by hand"),
    # names that numpy 2 took away; ray only in its search for hyperparameters
    "recbole": Heavy(
        ("recbole==1.2.1", "numpy==1.26.4", "pandas==2.2.3", "scikit-learn==1.5.2"),
        "2026-11-30: passed without ray, in an environment by hand",
    ),
    "torchrl": Heavy(("torchrl==0.14.1", "tensordict==0.14.3"), "2026-11-30: passed, in an environment by hand"),
    # Python 3.12, for which torch is the build with CUDA
    "disent": Heavy(
        ("disent==0.9.3", "lightning==2.6.6"), "2026-11-30: passed, in an environment by hand", python="3.12"
    ),
    # it wants torch < 2.12
    "lerobot": Heavy(
        (
            *("einops==0.8.2", "draccus==0.11.6", "gymnasium==1.4.0", "opencv-python-headless==4.13.0.92"),
            *("termcolor==3.3.0", "huggingface-hub==2.4.0"),
        ),
        "2026-11-30: passed, in an environment by hand",
        no_deps=("lerobot==0.6.1", "torchvision==0.28.0"),
        python="3.12",
    ),
}


@nox.session(python=("3.11", "3.12"))
@nox.parametrize("host", sorted(HEAVY))
def hosts(session: nox.Session, host: str) -> None:
    """Run the contract, the page and the tests of a host in an environment of its own."""
    heavy = HEAVY[host]
    if session.python != heavy.python:
        session.skip(f"{host} is run with Python {heavy.python}")
    session.log(f"last run {heavy.last}")
    session.install("-c", "constraints.txt", "-e", ".[test]", f"torch=={PINNED}", *heavy.requires)
    for one in heavy.no_deps:
        session.install("--no-deps", one)
    session.run("python", "-m", "pytest", "tests/adapters", "-k", f"host and {host}", env={"OMP_NUM_THREADS": "1"})
