"""What all tests share: chance only through generators with fixed seeds, one thread, and the data they may read."""

import gc
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from multiprocessing.context import ForkServerContext
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from apart import FORKED
from hypothesis import settings
from torch import Tensor
from torch.distributions import Distribution

# No deadline, for a busy machine is no defect; the same examples every time, for a test that fails must fail again.
settings.register_profile("project", deadline=None, derandomize=True, database=None)
settings.load_profile("project")


_BEGUN = pytest.StashKey[float]()

# Not tests, and not to be looked through for docstring examples: they import packages that may not be there.
collect_ignore_glob = ["adapters/host_cases/*.py", "adapters/hosts/recbole_ratings.py"]

if find_spec("multivae") is not None:  # it imports torchvision, whose wheels do not load beside a torch without CUDA
    sys.path.append(str(Path(__file__).parents[1] / "census"))
    import torchvision_names

    torchvision_names.importable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--within", type=float, default=math.inf, help="seconds after which no further test is begun")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_BEGUN] = time.monotonic()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if time.monotonic() - item.config.stash[_BEGUN] > item.config.getoption("within"):
        pytest.skip("no time left, --within")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Imports make millions of objects that stay; the collector is spared going through them, now and later."""
    gc.disable()
    yield
    gc.enable()
    gc.freeze()


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Processes of their own that need not import torch anew each time."""
    return FORKED


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    """Weights are drawn from torch's global generator; every test finds it in the same state."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _checked_arguments() -> Iterator[None]:
    """torch.compile switches the checks of all distributions' arguments off, for good; the next test has them again."""
    yield
    Distribution.set_default_validate_args(__debug__)


@pytest.fixture
def generator() -> torch.Generator:
    """A generator of the test's own, on the CPU."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def normal64(generator: torch.Generator) -> Callable[..., Tensor]:
    """`normal64(*shape)` draws standard normal numbers in float64, where rounding cannot hide an error of a formula."""
    return lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.fixture
def float64() -> Iterator[None]:
    """New tensors and modules are float64 inside the test."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets that LAMBDA_VAE_DATA names; without it the test skips."""
    value = os.environ.get("LAMBDA_VAE_DATA")
    if not value:
        pytest.skip("LAMBDA_VAE_DATA is not set; it names the folder with the real data sets")
    if not Path(value).is_dir():
        pytest.skip(f"LAMBDA_VAE_DATA is {value}, which is no folder")
    return Path(value)


@pytest.fixture
def quiet() -> Iterator[None]:
    """No word from libraries that log every epoch."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="session")
def digits() -> Tensor:
    """Black and white digits as images, float [1797, 1, 8, 8]."""
    from sklearn.datasets import load_digits

    return (torch.tensor(load_digits().data) > 7).float().view(-1, 1, 8, 8)
