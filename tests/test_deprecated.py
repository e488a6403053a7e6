"""Names of the last release: they work, and say what they are called now."""

from importlib import import_module

import pytest

import lambda_vae


@pytest.mark.parametrize(
    ("package", "name", "home"),
    [
        ("adapters", "diagnose", "any_vae"),
        ("adapters", "equalize_class", "equalizing"),
        ("adapters", "gaussian", "likelihoods"),
        ("adapters.likelihoods", "DecoderLikelihood", "likelihoods"),
        ("experiments", "train", "runs"),
        ("experiments", "CompareConfig", "comparisons"),
        ("experiments", "share_run", "sharing"),
    ],
)
def test_a_name_of_the_last_release_says_where_it_lives_now(package, name, home):
    module = import_module(f"lambda_vae.{package}")
    with pytest.warns(DeprecationWarning, match=rf"{package}\.{name} is called lambda_vae\.{home}\.{name} now"):
        found = getattr(module, name)
    assert found is getattr(import_module(f"lambda_vae.{home}"), name)


def test_an_integration_is_the_same_module_under_its_old_name():
    with pytest.warns(DeprecationWarning, match=r"is called lambda_vae\.integrations\.lightning now"):
        old = import_module("lambda_vae.adapters.hosts.lightning")
    new = import_module("lambda_vae.integrations.lightning")
    assert old is new
    assert new.__spec__.name == "lambda_vae.integrations.lightning"


@pytest.mark.parametrize("name", ["nothing", "__path__x"])
def test_a_name_that_never_was_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match="has no attribute"):
        getattr(import_module("lambda_vae.experiments"), name)
    with pytest.raises(AttributeError, match="has no attribute"):
        getattr(lambda_vae, name)


def test_a_module_that_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError):
        import_module("lambda_vae.experimental")
