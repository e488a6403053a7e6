"""What a run is, written and read back."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambda_vae.errors import InputError
from lambda_vae.runs import RunConfig
from lambda_vae.runs.config import checked_config, read_config, write_config

NUMBERS = st.floats(allow_nan=False, allow_infinity=True)
TEXT = st.text(max_size=20)
WHOLE = st.integers(0, 2**31)

FIELDS = st.fixed_dictionaries(
    {
        "data": TEXT,
        "method": TEXT,
        "delta": NUMBERS,
        "release_epochs": WHOLE,
        "release_path": st.sampled_from(["exponent", "delta"]),
        "release_capacity": st.none() | NUMBERS,
        "decay": NUMBERS,
        "beta": NUMBERS,
        "warm_up_epochs": st.none() | NUMBERS,
        "hidden": st.lists(WHOLE, max_size=4).map(tuple),
        "likelihood": st.none() | TEXT,
        "binarisation": st.sampled_from(["stochastic", "fixed", "none"]),
        "learning_rate": NUMBERS,
        "seed": st.integers(0, 2**32 - 1),
        "compile": st.booleans(),
        "clip_norm": st.none() | NUMBERS,
        "iw_samples": st.integers(1, 10**6),
        "trackers": st.lists(TEXT, max_size=3).map(tuple),
    }
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=FIELDS)
def test_config_comes_back_as_it_was_written(tmp_path, fields):
    config = RunConfig(**fields)
    write_config(tmp_path / "config.yaml", config)
    assert read_config(tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    "name", ["inf", "nan", "1e3", "-1.E+3", "null", "yes", "2024-01-01", "~", "[x]", "a: b", "#", "λ", "\u2028"]
)
def test_hostile_names_come_back_as_text(tmp_path, name):
    write_config(tmp_path / "config.yaml", RunConfig(data=name, trackers=(name,)))
    assert read_config(tmp_path / "config.yaml") == RunConfig(data=name, trackers=(name,))


WRONG = {
    "epochs": (None, "epochs is None; it must be a whole number"),
    "batch_size": (1.5, "batch_size is 1.5; it must be a whole number"),
    "delta": ("1.01", "delta is '1.01'; it must be a number"),
    "compile": (1, "compile is 1; it must be true or false"),
    "data": (3, "data is 3; it must be text"),
    "latent_dim": (True, "latent_dim is True; it must be a whole number"),
    "clip_norm": ("x", "clip_norm is 'x'; it must be a number or null"),
    "hidden": (("a",), "hidden is .*; it must be a list such as .*, each entry a whole number"),
    "binarisation": ("some", "binarisation is 'some'; it must be one of stochastic, fixed, none"),
    "seed": (-1, "seed is -1; it must be 0 to 4294967295"),
    "iw_samples": (0, "iw_samples is 0; it must be at least 1"),
    "evaluate_every": (-1, "evaluate_every is -1; it must be at least 0"),
}


@pytest.mark.parametrize(("name", "value", "what"), [(name, *rest) for name, rest in WRONG.items()], ids=WRONG.keys())
def test_a_value_of_the_wrong_kind_is_refused(name, value, what):
    with pytest.raises(InputError, match=what):
        checked_config({name: value})


def test_whole_numbers_are_numbers():
    assert RunConfig(delta=2, beta=0).delta == 2
    assert math.isinf(RunConfig(delta=math.inf).delta)
