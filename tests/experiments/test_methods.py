"""The table of methods, what they are set to, and the names of runs."""

import pytest
import torch
from flat_runs import changed, run_of

from lambda_vae.comparisons import CompareConfig
from lambda_vae.comparisons._compare import plan
from lambda_vae.errors import InputError
from lambda_vae.methods import (
    IAF,
    IWAE,
    METHODS,
    BetaVAE,
    Context,
    FlowPrior,
    LambdaVAE,
    NoiseClamp,
    WarmUp,
    composed,
    method_named,
)
from lambda_vae.methods.base import PARTS
from lambda_vae.methods.spec import from_data, text_of, to_data
from lambda_vae.runs import RunConfig
from lambda_vae.runs.build import build_vae
from lambda_vae.runs.results import identity, run_name

BASE = run_of(data="digits", epochs=8)
CONTEXT = Context(latent_dim=30, epochs=8, features=64, encoded=300)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_its_parts(name):
    method = METHODS[name]
    assert method.name == name
    assert method.title
    assert method.paper
    for part in PARTS:
        assert (getattr(method, part)(CONTEXT) is not None) == (part in method.own_parts())
    schedule = method.schedule(CONTEXT)
    if schedule is not None:
        assert all(0 <= schedule(epoch / 4) <= 1 for epoch in range(33))
        assert schedule(8) == 1
    assert ("equalizer" in method.own_parts()) == ("lambda" in name)
    assert "equalizer" not in method.own_parts() or method.uses("delta")
    found = identity(changed(BASE, method=name))
    assert found["delta"] == (1.01 if method.uses("delta") else None)


@pytest.mark.parametrize("name", METHODS)
def test_settings_of_one_name_are_of_one_kind_with_one_default(name):
    """Options of the command line and records have one name for each, whatever method it is of."""
    for other in METHODS.values():
        both = METHODS[name].values.keys() & other.values.keys()
        assert {key: METHODS[name].values[key] for key in both} == {key: other.values[key] for key in both}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_documented_setting_by_setting(name):
    words = type(METHODS[name]).__doc__ if name not in ("lambda-detached", "lambda-elbo") else LambdaVAE.__doc__
    assert all(f"{setting}: " in words for setting in METHODS[name].settings)


def test_warm_up_takes_half_of_all_epochs_unless_told():
    schedule = WarmUp().schedule(CONTEXT)
    assert schedule(3.999) < 1 == schedule(4.0)
    assert WarmUp(epochs=2.0).schedule(CONTEXT)(2.0) == 1


def test_an_unknown_method_gives_the_nearest():
    with pytest.raises(InputError, match=r"unknown method 'cyclic' \(did you mean 'cyclical'\?\); the methods are vae"):
        method_named("cyclic")


@pytest.mark.parametrize("name", METHODS)
def test_settings_a_method_does_not_use_are_not_in_its_name(name):
    config = run_of(method=name, beta=4.0, delta=1.5, release_epochs=3)
    method = config.method
    for used, sign, part in ((method.uses("beta"), "β=4", "beta4"), (method.uses("delta"), "δ=1.5", "delta1.5")):
        assert (sign in method.label) == used
        assert (part in run_name(config)) == used
    assert ("released 3" in method.label) == method.uses("release_epochs") == ("release3" in run_name(config))


def test_plan_takes_every_method_value_and_seed_once():
    choice = CompareConfig(("vae", "lambda-vae", "vae"), (1.1, 1.5, 1.1), (0, 2), seeds=2)
    configs = plan(BASE.with_seed(3), choice)
    assert [run_name(config) for config in configs[:5]] == [
        "vae-seed3", "lambda-vae-delta1.1-seed3", "lambda-vae-delta1.5-seed3", "lambda-vae-delta1.1-release2-seed3",
        "lambda-vae-delta1.5-release2-seed3",
    ]  # fmt: skip
    assert [config.seed for config in configs] == [3] * 5 + [4] * 5
    assert len({run_name(config) for config in configs}) == 10


def test_a_method_as_an_object_is_planned_as_it_is():
    choice = CompareConfig((LambdaVAE(delta=1.3), "lambda-vae", "noise-clamp"), (1.1,), settings={"refresh_every": 1})
    assert [run_name(config) for config in plan(BASE, choice)] == [
        "lambda-vae-delta1.3-seed0", "lambda-vae-delta1.1-refreshevery1-seed0", "noise-clamp-delta1.1-seed0",
    ]  # fmt: skip


def test_what_the_methods_of_a_plan_share_reaches_each_that_has_it():
    base = changed(BASE, method="lambda-vae", refresh_every=3, samples=4)
    planned = plan(base, CompareConfig(("lambda-detached", "iwae", "iwae:samples=5", "vae"), (1.1,)))
    assert [config.method.values.get("refresh_every") for config in planned] == [3, None, None, None]
    assert [config.method.values.get("samples") for config in planned] == [None, 4, 5, None]
    assert [config.train.samples for config in planned] == [4, 1, 1, 4]


@pytest.mark.parametrize(
    ("choice", "what"),
    [
        (CompareConfig(()), "methods is empty"),
        (CompareConfig(delta=()), "delta is empty"),
        (CompareConfig(release_epochs=()), "release_epochs is empty"),
        (CompareConfig(seeds=0), "seeds is 0"),
        (CompareConfig(workers=0), "workers is 0"),
        (CompareConfig(("vea",)), "did you mean 'vae'"),
    ],
)
def test_a_plan_of_nothing_is_refused(choice, what):
    with pytest.raises(InputError, match=what):
        plan(BASE, choice)


def test_weights_depend_on_the_seed_alone():
    first = build_vae(BASE, (12,), "bernoulli").state_dict()
    state = torch.get_rng_state()
    torch.rand(7)
    second = build_vae(changed(BASE, method="vae", delta=3.0), (12,), "bernoulli").state_dict()
    other = build_vae(BASE.with_seed(1), (12,), "bernoulli").state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    torch.set_rng_state(state)
    before = torch.rand(3)
    torch.set_rng_state(state)
    build_vae(BASE, (12,), "bernoulli")
    assert torch.equal(torch.rand(3), before)


@pytest.mark.parametrize(("name", "title"), [("warm-up+lambda-vae", "λ-VAE + warm-up"), ("vae+vae", "VAE")])
def test_names_joined_by_plus_compose(name, title):
    method = method_named(name)
    assert method.title == title
    assert method_named(method.name) == method == composed([METHODS[part] for part in name.split("+")])
    for part in PARTS:
        assert (part in method.own_parts()) == any(part in METHODS[one].own_parts() for one in name.split("+"))
        assert (getattr(method, part)(CONTEXT) is not None) == (part in method.own_parts())


def test_objects_compose_as_text_does():
    method = WarmUp(epochs=50) + LambdaVAE(delta=1.19)
    assert method == method_named("lambda-vae:delta=1.19+warm-up:epochs=50")
    assert method == method_named("warm-up+lambda-vae:delta=1.19,warm_up_epochs=50")  # as the last release has it
    assert RunConfig(method=method).method.label == "λ-VAE + warm-up δ=1.19 over 50 epochs"
    with pytest.raises(InputError, match="lambda-vae is there twice"):
        _ = LambdaVAE(delta=1.1) + LambdaVAE(delta=1.2)


@pytest.mark.parametrize(
    "method",
    [
        LambdaVAE(delta=float("inf"), release_path="delta", release_capacity=0.5),
        IAF(flow_hidden=(8, 8)) + FlowPrior(flow_layers=2),
        NoiseClamp(delta=1.1) + LambdaVAE(delta=1.2) + WarmUp(epochs=1e-3),
        LambdaVAE(delta=1e20) + BetaVAE(beta=1e-20),
        IWAE(samples=5) + WarmUp(),
    ],
    ids=text_of,
)
def test_a_method_comes_back_from_text_and_from_plain_data(method):
    assert method_named(text_of(method)) == method
    assert from_data(to_data(method)) == method


def test_settings_that_two_methods_share_keep_their_values_apart():
    first = IAF(flow_layers=2) + FlowPrior()
    second = IAF() + FlowPrior(flow_layers=2)
    both = method_named("iaf+flow-prior:flow_layers=2")
    assert [part.flow_layers for part in both.parts] == [2, 2]
    assert len({first.stem, second.stem, both.stem}) == len({first.label, second.label, both.label}) == 3
    assert both.values == {"flow_layers": 2, "flow_hidden": (128,)}
    assert first.values == {"flow_layers": 2, "flow_hidden": (128,), "flow-prior.flow_layers": 4}


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("warm-up+cyclical", "warm-up and cyclical do not fit together: both set the schedule"),
        ("lambda-vae+lambda-elbo", "both set the equalizer"),
        ("lambda-vae+cyclic", r"unknown method 'cyclic' \(did you mean 'cyclical'"),
        ("lambda-vae+avb", "avb and lambda-vae do not fit together: an implicit posterior has no sigma of its own"),
        ("free-bits+iaf", "free-bits and iaf do not fit together: free bits need a closed KL of every dimension"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(name, what):
    with pytest.raises(InputError, match=what):
        method_named(name)


def test_a_method_may_carry_settings_of_its_own():
    choice = CompareConfig(("beta-vae:beta=0.5", "beta-vae:beta=2", "lambda-vae:delta=1.01", "lambda-vae"), (1.5,))
    names = [run_name(config) for config in plan(BASE, choice)]
    assert names == [
        "beta-vae-beta0.5-seed0", "beta-vae-beta2-seed0", "lambda-vae-delta1.01-seed0", "lambda-vae-delta1.5-seed0",
    ]  # fmt: skip


def test_numbers_in_a_setting_are_written_as_people_write_them():
    assert method_named("beta-vae:beta=1e-3") == BetaVAE(beta=1e-3)
    assert method_named("lambda-vae:delta=inf") == LambdaVAE(delta=float("inf"))


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ("vae:beta=4", "vae has no setting 'beta'; it has none"),
        ("beta-vae:bta=4", r"no setting 'bta' \(did you mean 'beta'\?\); its settings are beta"),
        ("beta-vae:beta", "'beta' is not of the form setting=value"),
        ("beta-vae:beta=much", "beta is 'much'; it must be a number"),
        ("lambda-vae:delta=1.1+warm-up:beta=3", "warm-up has no setting 'beta'"),
    ],
)
def test_bad_settings_of_a_method_are_refused(spec, what):
    with pytest.raises(InputError, match=what):
        method_named(spec)
