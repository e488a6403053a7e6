"""An adapter whose package is missing, or of another version than the tested ones, says so in one sentence."""

import re
import runpy
import sys
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from lambda_vae import integrations
from lambda_vae.errors import InputError
from lambda_vae.integrations import tested

ADAPTERS = {path.stem: path for path in Path(integrations.__path__[0]).glob("*.py") if path.stem in tested.HOSTS}
AT_IMPORT = {"pythae", "scvi", "diffusers", "lightning", "pyro", "torchmetrics"}


def asked(name):
    """Import an adapter; one that imports without its package asks for it when it is called."""
    found = runpy.run_path(str(ADAPTERS[name]))
    said = {"loss": "l1", "kl_weight": 1.0} if name == "monai" else {}
    return found if name in AT_IMPORT else found[f"diagnose_{name}"](object(), object(), **said)


def another(found):
    def of(package):
        if found is None:
            raise PackageNotFoundError(package)
        return found

    return of


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_a_missing_package_is_named_with_what_to_install(name, monkeypatch):
    monkeypatch.setattr(tested, "version", another(None))
    for module in ("lightning.pytorch", "pytorch_lightning") if name == "lightning" else ():
        monkeypatch.setitem(sys.modules, module, None)
    row = tested.HOSTS[name]
    said = f"{row.package} is not installed; pip install 'lambda-vae[{name}]' (tested with {row.versions[0]}"
    with pytest.raises(InputError, match="^" + re.escape(said)):
        asked(name)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_another_version_is_told_and_used(name, monkeypatch):
    try:
        version(tested.HOSTS[name].package)
    except PackageNotFoundError:
        pytest.skip(f"{tested.HOSTS[name].package} is not installed")
    monkeypatch.setattr(tested, "version", another("99.0"))
    used = nullcontext() if name in AT_IMPORT else pytest.raises(InputError)  # of the object that is no model
    with used, pytest.warns(UserWarning, match=rf"{tested.HOSTS[name].package} 99.0 is installed.*was tested with"):
        assert asked(name)["__all__"]


def test_lightning_under_its_older_name_is_taken(monkeypatch):
    pytest.importorskip("pytorch_lightning", reason="pytorch-lightning is not installed")
    monkeypatch.setitem(sys.modules, "lightning.pytorch", None)
    assert runpy.run_path(str(ADAPTERS["lightning"]))["Callback"].__module__.startswith("pytorch_lightning")
