"""The table of methods, and the names of runs."""

from dataclasses import replace

import pytest
import torch

from lambda_vae.comparisons import CompareConfig
from lambda_vae.comparisons._compare import plan
from lambda_vae.errors import InputError
from lambda_vae.runs import METHODS, RunConfig
from lambda_vae.runs.build import build_vae
from lambda_vae.runs.compose import method_named
from lambda_vae.runs.method import PARTS
from lambda_vae.runs.results import identity, run_name
from lambda_vae.runs.spec import configured

BASE = RunConfig(data="digits", epochs=8)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_its_parts(name):
    method, config = method_named(name), replace(BASE, method=name)
    assert method.name == name
    assert method.paper
    if method.schedule is not None:
        schedule = method.schedule(config)
        assert all(0 <= schedule(epoch / 4) <= 1 for epoch in range(33))
        assert schedule(8) == 1
    assert (method.equalizer is not None) == ("lambda" in name)
    assert method.equalizer is None or method.uses("delta")
    assert set(method.settings) <= RunConfig.__dataclass_fields__.keys()
    assert identity(config)["delta"] == (config.delta if method.uses("delta") else None)


def test_warm_up_takes_half_of_all_epochs_unless_told():
    method = method_named("warm-up")
    assert method.schedule(BASE)(3.999) < 1 == method.schedule(BASE)(4.0)
    assert method.schedule(replace(BASE, warm_up_epochs=2.0))(2.0) == 1


def test_an_unknown_method_gives_the_nearest():
    with pytest.raises(InputError, match=r"unknown method 'cyclic' \(did you mean 'cyclical'\?\); the methods are vae"):
        method_named("cyclic")


@pytest.mark.parametrize("name", METHODS)
def test_settings_a_method_does_not_use_are_not_in_its_name(name):
    config = replace(BASE, method=name, beta=4.0, delta=1.5, release_epochs=3)
    method, label = method_named(name), method_named(name).label(config)
    for used, sign, part in ((method.uses("beta"), "β=4", "beta4"), (method.uses("delta"), "δ=1.5", "delta1.5")):
        assert (sign in label) == used
        assert (part in run_name(config)) == used
    assert ("released 3" in label) == method.uses("release_epochs") == ("release3" in run_name(config))


def test_plan_takes_every_method_value_and_seed_once():
    choice = CompareConfig(("vae", "lambda-vae", "vae"), (1.1, 1.5, 1.1), (0, 2), seeds=2)
    configs = plan(replace(BASE, seed=3), choice)
    assert [run_name(config) for config in configs[:5]] == [
        "vae-seed3", "lambda-vae-delta1.1-seed3", "lambda-vae-delta1.5-seed3", "lambda-vae-delta1.1-release2-seed3",
        "lambda-vae-delta1.5-release2-seed3",
    ]  # fmt: skip
    assert [config.seed for config in configs] == [3] * 5 + [4] * 5
    assert len({run_name(config) for config in configs}) == 10


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
    second = build_vae(replace(BASE, method="vae", delta=3.0), (12,), "bernoulli").state_dict()
    other = build_vae(replace(BASE, seed=1), (12,), "bernoulli").state_dict()
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
    assert method_named(method.name) == method
    for part in PARTS:
        owners = [row for row in map(method_named, name.split("+")) if getattr(row, part) is not None]
        assert getattr(method, part) == (getattr(owners[0], part) if owners else None)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("warm-up+cyclical", "warm-up and cyclical do not fit together: both set the schedule"),
        ("lambda-vae+lambda-elbo", "both set the equalizer"),
        ("lambda-vae+cyclic", r"unknown method 'cyclic' \(did you mean 'cyclical'"),
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
    assert configured(BASE, "beta-vae:beta=1e-3")[0].beta == 1e-3
    assert configured(BASE, "lambda-vae:delta=inf")[0].delta == float("inf")


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ("vae:beta=4", "vae has no setting 'beta'; it has none"),
        ("beta-vae:bta=4", r"no setting 'bta' \(did you mean 'beta'\?\); its settings are beta"),
        ("beta-vae:beta", "'beta' is not of the form setting=value"),
        ("beta-vae:beta=much", "beta is 'much'; it must be a number"),
    ],
)
def test_bad_settings_of_a_method_are_refused(spec, what):
    with pytest.raises(InputError, match=what):
        configured(BASE, spec)
