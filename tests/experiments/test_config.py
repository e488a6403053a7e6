"""What a run is, written and read back."""

import json
import math
from pathlib import Path

import pytest
from flat_runs import changed, run_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambda_vae.errors import InputError
from lambda_vae.methods import IWAE, METHODS, LambdaVAE, WarmUp, method_named
from lambda_vae.methods.spec import text_of
from lambda_vae.runs import MLP, ResNet, RunConfig
from lambda_vae.runs.config import to_yaml
from lambda_vae.runs.flat import config_data, flat, flattened, from_flat, kinds, read_config, write_config
from lambda_vae.runs.results import identity
from lambda_vae.training import TrainOptions
from lambda_vae.training.precision import MATMUL

NUMBERS = st.floats(allow_nan=False, allow_infinity=True)
POSITIVE = st.floats(min_value=1e-300, max_value=1e300)
TEXT = st.text(max_size=20)
WHOLE = st.integers(0, 2**31)

FIELDS = st.fixed_dictionaries(
    {
        "data": TEXT,
        "method": st.sampled_from([*METHODS, "lambda-vae+warm-up", "iaf+flow-prior", "iwae+warm-up"]),
        "delta": NUMBERS,
        "release_epochs": WHOLE,
        "release_path": st.sampled_from(["exponent", "delta"]),
        "release_capacity": st.none() | NUMBERS,
        "decay": NUMBERS,
        "beta": NUMBERS,
        "warm_up_epochs": st.none() | NUMBERS,
        "flow_hidden": st.lists(WHOLE, max_size=4).map(tuple),
        "network": st.sampled_from(["mlp", "resnet", "pixelcnn"]),
        "hidden": st.lists(WHOLE, max_size=4).map(tuple),
        "multipliers": st.lists(WHOLE, max_size=4).map(tuple),
        "likelihood": st.none() | TEXT,
        "binarisation": st.sampled_from(["stochastic", "fixed", "none"]),
        "image_size": st.none() | st.integers(1, 2**31),
        "learning_rate": POSITIVE,
        "learning_rate_floor": st.just(1e-300),
        "seed": st.integers(0, 2**32 - 1),
        "samples": st.none() | st.integers(1, 100),
        "matmul": st.sampled_from(MATMUL),
        "clip_norm": st.none() | POSITIVE,
        "iw_samples": st.integers(1, 10**6),
        "trackers": st.lists(TEXT, max_size=3).map(tuple),
    }
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=FIELDS)
def test_config_comes_back_as_it_was_written(tmp_path, fields):
    config = run_of(**fields)
    write_config(tmp_path / "config.yaml", config)
    assert read_config(tmp_path / "config.yaml") == config == from_flat(flat(config))
    (tmp_path / "config.yaml").write_text(to_yaml(fields))  # as the last release wrote it
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
    "data": (3, "data is 3; it must be text"),
    "latent_dim": (True, "latent_dim is True; it must be a whole number"),
    "clip_norm": ("x", "clip_norm is 'x'; it must be a number or null"),
    "hidden": (("a",), "hidden is .*; it must be a list such as .*, each entry a whole number"),
    "binarisation": ("some", "binarisation is 'some'; it must be one of stochastic, fixed, none"),
    "seed": (-1, "seed is -1; it must be"),
    "iw_samples": (0, "iw_samples is 0; it must be at least 1"),
    "evaluate_every": (-1, "evaluate_every is -1; it must be at least 0"),
    "network": ("resnt", r"unknown network 'resnt' \(did you mean 'resnet'\?\)"),
    "epoch": (3, r"unknown key 'epoch' \(did you mean 'epochs'\?\)"),
}


@pytest.mark.parametrize(("name", "value", "what"), [(name, *rest) for name, rest in WRONG.items()], ids=WRONG.keys())
def test_a_value_of_the_wrong_kind_is_refused(name, value, what):
    with pytest.raises(InputError, match=what):
        from_flat({name: value})


def test_whole_numbers_are_numbers():
    assert from_flat({"delta": 2}).method.values["delta"] == 2
    assert math.isinf(LambdaVAE(delta=math.inf).delta)


NESTED = {
    "an unknown setting": ({"method": {"warm-up": {"epoch": 3}}}, r"warm-up has no setting 'epoch' \(did you mean"),
    "a setting of another kind": ({"method": {"warm-up": {"epochs": "x"}}}, "epochs is 'x'; it must be a number"),
    "an unknown key of training": ({"train": {"epoch": 3}}, r"unknown key 'epoch' \(did you mean 'epochs'\?\)"),
    "training that is a number": ({"train": 3}, "train is 3; it must be a mapping"),
    "a method that is a number": ({"method": 3}, "method is 3; it must be a name, or names with their settings"),
    "an unknown network": ({"network": {"mpl": {}}}, r"unknown network 'mpl' \(did you mean 'mlp'\?\)"),
    "a setting twice": ({"method": "warm-up:epochs=3", "warm_up_epochs": 4.0}, "warm_up_epochs is 4.0, and the method"),
}


@pytest.mark.parametrize(("values", "what"), NESTED.values(), ids=NESTED.keys())
def test_a_nested_file_with_a_mistake_is_refused(values, what, tmp_path):
    (tmp_path / "config.yaml").write_text(to_yaml(values))
    with pytest.raises(InputError, match=what):
        read_config(tmp_path / "config.yaml")


def test_a_file_may_be_written_by_hand(tmp_path):
    (tmp_path / "config.yaml").write_text(
        "data: mnist\nmethod:\n  lambda-vae: {delta: 1.19}\n  warm-up:\nnetwork: resnet\nencoder_width: 8\n"
        "train: {epochs: 5}\n"
    )
    assert read_config(tmp_path / "config.yaml") == RunConfig(
        "mnist", LambdaVAE(delta=1.19) + WarmUp(), ResNet(encoder_width=8), train=TrainOptions(epochs=5)
    )


def test_a_number_of_samples_stands_once():
    five = RunConfig(method=IWAE(samples=5))
    assert RunConfig(method=IWAE(), train=TrainOptions(samples=5)) == five == from_flat(flat(five))
    with pytest.raises(InputError, match="samples is 3, and iwae says 5; give it once"):
        RunConfig(method=IWAE(samples=5), train=TrainOptions(samples=3))


def test_a_config_of_the_last_release_still_makes_one_and_says_how_it_is_written_now():
    with pytest.warns(DeprecationWarning, match=r"delta, hidden, epochs, image_size: what belongs to a part .*=MLP\("):
        old = RunConfig(data="x", method="lambda-vae", delta=1.5, hidden=(32,), epochs=3, image_size=8)
    assert old == run_of(data="x", method="lambda-vae", delta=1.5, hidden=(32,), epochs=3, image_size=8)
    with pytest.warns(DeprecationWarning, match=r"config\.hidden is of the last release"):
        assert old.hidden == (32,)
    with pytest.warns(DeprecationWarning, match=r"config\.beta"):
        assert old.beta == 1.0
    with pytest.warns(DeprecationWarning, match="beta belongs to no part of this run and is left out"):
        assert RunConfig(method="vae", beta=3.0) == RunConfig(method="vae")
    with pytest.warns(DeprecationWarning, match="samples"):
        assert RunConfig(method="iwae", samples=5) == RunConfig(method=IWAE(samples=5))
    with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'"):
        RunConfig(epoch=3)
    with pytest.raises(AttributeError, match="no attribute 'epoch'"):
        _ = old.epoch


def test_every_name_of_the_last_release_is_one_of_this_one():
    archived = json.loads((RESULTS / "mnist.json").read_text())["runs"][0]["config"]
    assert "epochs" in archived  # flat, as the last release wrote them
    assert archived.keys() - kinds().keys() == {"compile"}  # which changed no number
    assert flattened(archived).keys() <= kinds().keys()


def test_networks_by_name_are_objects():
    assert RunConfig(network="resnet").network == ResNet()
    with pytest.raises(InputError, match="unknown network 'resnt'"):
        RunConfig(network="resnt")
    assert changed(RunConfig(), hidden=(3,)).network == MLP((3,))


RESULTS = Path(__file__).parent.parent.parent / "results"


def archives():
    contents = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    return {name: one for name, one in contents.items() if isinstance(one, dict) and "runs" in one and "rows" in one}


ARCHIVES = archives()


@pytest.mark.parametrize("name", ARCHIVES)
def test_every_archived_run_is_the_run_it_was(name):
    rows = {row["run"]: row for row in ARCHIVES[name]["rows"]}
    for record in ARCHIVES[name]["runs"]:
        row, config = rows[record["run"]], from_flat(flattened(record["config"]))
        found = identity(config)
        told = ("method", "delta", "beta", "release_epochs", "settings", "seed", "epochs", "latent_dim", "measured_on")
        assert {key: found[key] for key in told if key in row} == {key: row[key] for key in told if key in row}
        assert found["label"] == (row.get("title") or row["label"])
        assert record["run"] in (found["run"], f"{config.method.stem}-epochs{config.epochs}-seed{config.seed}")
        assert method_named(text_of(config.method)) == config.method
        assert from_flat(flattened(json.loads(json.dumps(config_data(config))))) == config
    assert ARCHIVES[name]["runs"]


def test_there_are_archives():
    assert len(ARCHIVES) >= 16
