"""Every adapter of `host_cases`: delta = inf is the host bit for bit, the KL its own, planted collapse is found."""

import math
import pkgutil
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

import host_cases
import pytest
import torch
from host_contract import HostCase

from lambda_vae.errors import InputError
from lambda_vae.integrations.tested import HOSTS, HostPackage, needed

NAMES = sorted(module.name for module in pkgutil.iter_modules(host_cases.__path__))
LATEST = pytest.mark.filterwarnings("default")  # of the packages, whose warnings are not ours to turn into errors


def case(name: str) -> HostCase:
    host = name.split("_")[0]
    try:
        version(HOSTS[host].package)
    except PackageNotFoundError:
        pytest.skip(f"{HOSTS[host].package} is not installed; nox -s hosts runs this")
    return import_module(f"host_cases.{name}").CASE


@LATEST
@pytest.mark.parametrize("name", NAMES)
def test_delta_infinite_leaves_the_host_bit_for_bit_and_another_does_not(name):
    train = case(name).train
    plain, off, on = train(None), train(math.inf), train(1.01)
    assert plain
    assert plain.keys() == off.keys()
    assert all(torch.equal(plain[key], off[key]) for key in plain)
    assert any(not torch.equal(plain[key], on[key]) for key in plain)


@LATEST
@pytest.mark.parametrize("name", NAMES)
def test_kl_is_the_hosts_own(name):
    ours, hosts = case(name).kl()
    assert ours == pytest.approx(hosts, rel=1e-4, abs=1e-5)


@LATEST
@pytest.mark.parametrize("name", NAMES)
def test_planted_collapse_is_found(name):
    report, planted = case(name).planted()
    assert planted
    assert {k for k, label in enumerate(report.verdicts) if label == "collapsed"} == planted


@LATEST
@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_taken_is_refused_in_one_sentence(name):
    for words, call in case(name).refused.items():
        with pytest.raises(InputError, match=words):
            call()


def test_a_package_that_is_missing_is_named_with_the_tested_version(monkeypatch):
    monkeypatch.setitem(HOSTS, "absent", HostPackage("no-such-package", ("1.2", "1.3")))
    with pytest.raises(InputError, match=r"no-such-package is not installed.*\[absent\].*tested with 1.2 and 1.3"):
        needed("absent", "no_such_package.Thing")


def test_another_version_is_used_with_a_warning_where_it_has_the_names(monkeypatch):
    monkeypatch.setitem(HOSTS, "torch", HostPackage("torch", ("0.1",)))
    with pytest.warns(UserWarning, match=f"torch {version('torch').split('+')[0]}.*tested with 0.1"):
        assert needed("torch", "torch.nn.Linear") == [torch.nn.Linear]


@pytest.mark.parametrize("name", ["torch.nn.Lineal", "torch.no_such_module.Linear"])
def test_a_name_that_another_version_lacks_is_named(monkeypatch, name):
    monkeypatch.setitem(HOSTS, "torch", HostPackage("torch", (version("torch").split("+")[0],)))
    with pytest.raises(InputError, match=rf"torch [\d.+cpu]+ has no .*{name}"):
        needed("torch", name)


def test_every_adapter_and_every_case_has_its_row_of_tested_versions():
    modules = pkgutil.iter_modules(import_module("lambda_vae.integrations").__path__)
    shared = {"tested", "host", "action"}  # what several adapters share
    assert {name.split("_")[0] for name in (*NAMES, *(module.name for module in modules))} - shared <= set(HOSTS)
