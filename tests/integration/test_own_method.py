"""A user's own method, given as package:Class or as an object, is trained, compared, tuned, resumed and read back."""

# ruff: noqa: F811 - fixtures come by import

import json
from dataclasses import dataclass, replace

import pytest
from cli_process import TINY, cli, own_cache  # noqa: F401
from flat_runs import run_of
from own_methods import Capped, Clamped, Namesake

from lambda_vae import CompareConfig, compare, from_pretrained, load_run, share_run, train
from lambda_vae.comparisons._tune import tune
from lambda_vae.comparisons.search_objectives import LowestBound
from lambda_vae.errors import InputError
from lambda_vae.methods import METHODS, BetaVAE, LambdaVAE, Method, method_named
from lambda_vae.paper import Reproduction, reproduce
from lambda_vae.runs import RunConfig
from lambda_vae.runs.flat import read_config
from lambda_vae.training import Trainer

WORDS = ("--data", "digits", *TINY, "--trackers", "[]")
BASE = run_of(
    data="digits", hidden=(8,), latent_dim=2, epochs=2, iw_samples=2, evaluate_every=0, trackers=(), batch_size=200
)


def made(method: Method) -> RunConfig:
    return RunConfig(**{**vars(BASE), "method": method})


def test_it_is_trained_resumed_and_read_back(cli, tmp_path):
    words = ["train", *WORDS, "--epochs", 1, "--method", "own_methods:Capped:cap=1", "--out", tmp_path / "run"]
    said = cli(*words, "--report", "false")
    assert said.code == 0, said.err
    assert read_config(tmp_path / "run" / "config.yaml").method == Capped(cap=1.0)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (metrics["method"], metrics["label"], metrics["settings"]) == ("capped", "VAE + capped KL cap 1", {"cap": 1})
    assert cli(*words, "--resume").code == 0
    other = cli(*[word if word != "own_methods:Capped:cap=1" else "own_methods:Capped" for word in words], "--resume")
    assert "its method is 'own_methods:Capped:cap=1', here it is 'own_methods:Capped'" in other.err
    assert cli("diagnose", tmp_path / "run").code == 0
    assert load_run(tmp_path / "run").method == Capped(cap=1.0)


def test_it_is_compared_by_processes_that_find_it_by_its_name(cli, own_cache, tmp_path):
    methods = (Capped(cap=0.25), Capped() + LambdaVAE(delta=1.5), "own_methods:Capped:cap=1", "vae")
    rows = compare(BASE, CompareConfig(methods, workers=1), tmp_path / "out")
    assert [(row["status"], row["label"]) for row in rows] == [
        ("done", "VAE + capped KL cap 0.25"), ("done", "λ-VAE + VAE + capped KL δ=1.5"),
        ("done", "VAE + capped KL cap 1"), ("done", "VAE"),
    ]  # fmt: skip
    assert rows == compare(BASE, CompareConfig(methods, workers=1), tmp_path / "out", resume=True)
    assert cli("report", tmp_path / "out").code == 0


def test_it_is_tuned_where_it_has_a_delta(own_cache, tmp_path):
    found = tune(made(Clamped()), LowestBound(), tmp_path / "out", budget=2, release=False, workers=1)
    assert isinstance(found.config.method, Clamped)
    assert read_config(tmp_path / "out" / "tuned.yaml") == found.config
    assert len(found.outcomes) == 2


def test_a_shared_model_imports_nothing_by_itself(own_cache, tmp_path, monkeypatch):
    train(made(Capped()), tmp_path / "run")
    share_run(tmp_path / "run", tmp_path / "shared")
    assert from_pretrained(tmp_path / "shared").config.method == Capped()
    monkeypatch.delitem(__import__("sys").modules, "own_methods")
    with pytest.raises(InputError, match="names a method of the module 'own_methods'; import that first, if you trust"):
        from_pretrained(tmp_path / "shared")


def test_one_may_be_put_into_the_table(monkeypatch):
    monkeypatch.setitem(METHODS, "capped", Capped())
    assert method_named("capped:cap=2+lambda-vae") == Capped(cap=2.0) + LambdaVAE()


WRONG = {
    "own_methods:Nothing": "own_methods:Nothing is no subclass of lambda_vae.methods.Method; give one",
    "own_methods:CappedKL": "own_methods:CappedKL is no subclass of lambda_vae.methods.Method",
    "own_methods:Absent": "own_methods:Absent is no subclass of lambda_vae.methods.Method",
    "own_methods:Caped": r"no subclass of lambda_vae.methods.Method \(did you mean 'Capped'\?\); give one",
    "own_methods.Capped": r"unknown method 'own_methods.Capped' \(did you mean 'own_methods:Capped'\?\)",
    "no_such_module:Capped": "there is no module 'no_such_module' in .*; go to the folder that holds it, or install it",
    "own_methods:Demanding": "own_methods:Demanding cannot be made .*; give each of its settings a default",
    "own_methods:Capped:cap=x": "cap is 'x'; it must be a number",
    "own_methods:Capped:cup=3": r"capped has no setting 'cup' \(did you mean 'cap'\?\)",
    "own_methods:Capped+beta-vae": "capped do not fit together: both set the objective",
}


@pytest.mark.parametrize(("text", "what"), WRONG.items(), ids=WRONG)
def test_what_is_no_method_is_refused_in_one_sentence(text, what, cli, tmp_path):
    with pytest.raises(InputError, match=what):
        method_named(text)
    said = cli("train", *WORDS, "--method", text, "--out", tmp_path / "run")
    assert said.code == 2
    assert len(said.err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_method_that_nobody_else_would_find_is_refused_before_anything_is_written(own_cache, tmp_path, monkeypatch):
    @dataclass(frozen=True)
    class Inside(BetaVAE):
        name = "inside"

    with pytest.raises(InputError, match="Inside is defined inside a function"):
        train(made(Inside()), tmp_path / "run")
    monkeypatch.setattr(Capped, "__module__", "__main__")
    with pytest.raises(InputError, match="Capped is defined where other processes do not find it"):
        compare(BASE, CompareConfig((Capped(),)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


SMOKE = ("reproduce", "table1", "--data", "digits", "--scale", "smoke", "--only", "vae", "--out")


def test_it_is_a_row_of_a_reproduced_table(cli, tmp_path):
    out = tmp_path / "out"
    said = cli(*SMOKE, out, "--method", "own_methods:Capped:cap=1")
    assert said.code == 0, said.err
    assert "- VAE + capped KL cap 1: An added row" in (out / "table1.md").read_text()
    choice = Reproduction("table1", "digits", "smoke", ("vae",), method=Capped(cap=1.0) + LambdaVAE(delta=1.5))
    rows = reproduce(choice, out, resume=True)  # the first added row stays
    assert len(replace(choice, method=(Capped(cap=1.0), "own_methods:Capped:cap=1")).asked) == 2
    assert [(row["recipe"], row["label"], row["status"], row["paper"]) for row in rows] == [
        ("vae", "VAE, 2 epochs", "done", None),
        ("own_methods:Capped:cap=1", "VAE + capped KL cap 1, 2 epochs", "done", None),
        (
            "lambda-vae:delta=1.5+own_methods:Capped:cap=1", "λ-VAE + VAE + capped KL δ=1.5 cap 1, 2 epochs", "done",
            None,
        ),
    ]  # fmt: skip
    assert [row["note"] for row in rows[1:]] == [
        "An added row: neither the paper nor this package has a recipe for it."
    ] * 2
    assert reproduce(replace(choice, method=()), out, resume=True) == rows


NO_ROW = {
    "own_methods:Nothing": "own_methods:Nothing is no subclass of lambda_vae.methods.Method; give one",
    "vae": "the method 'vae' would stand in table1 as 'vae-epochs2-seed0', and so does the row 'vae'; name that row",
    "own_methods:Namesake": "would stand in table1 as 'VAE, 2 epochs', and so does the row 'vae'",
    "own_methods:Nameless": "the method 'own_methods:Nameless' has no name or no title",
    "own_methods:Capped:cap=x": "cap is 'x'; it must be a number",
    "lambda-vae:delta=0.5": "delta",
}


@pytest.mark.parametrize(("text", "what"), NO_ROW.items(), ids=NO_ROW)
def test_what_cannot_be_a_row_of_its_own_is_refused_before_anything_is_written(text, what, cli, tmp_path):
    said = cli(*SMOKE, tmp_path / "out", "--method", text)
    assert said.code == 2
    assert what in said.err
    assert len(said.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_figure_takes_no_method(cli, tmp_path):
    said = cli("reproduce", "figure3", "--method", "own_methods:Capped", "--out", tmp_path / "out")
    assert said.code == 2
    assert "figure3 is a figure; --method is for tables, leave it out" in said.err
    with pytest.raises(InputError, match="figure3 is a figure; `method` is for tables"):
        Reproduction("figure3", method="own_methods:Capped")


def test_two_methods_of_one_name_are_not_mixed_up(own_cache, tmp_path, monkeypatch):
    monkeypatch.setattr(Namesake, "name", "vae")
    with pytest.raises(InputError, match="vae and own_methods:Namesake would both be kept as vae-seed0"):
        compare(BASE, CompareConfig(("vae", Namesake())), tmp_path / "out")
    assert not (tmp_path / "out").exists()


UNFIT = {
    "lagging": ({"accumulate": 2}, "accumulate is 2, and this method looks at its batch as a whole"),
    "avb:adaptive_contrast=false+flow-prior": ({}, "adaptive_contrast is False and the prior is learned"),
    "own_methods:Capped:cap=1": ({"batch_size": 2000}, "a step takes 2000 examples and the training data has 1442"),
}


@pytest.mark.parametrize(("text", "train", "what"), [(k, *v) for k, v in UNFIT.items()], ids=UNFIT)
def test_what_cannot_be_trained_is_refused_without_a_trainer(text, train, what, own_cache, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "__init__", lambda *_, **__: pytest.fail("a trainer was made to be thrown away"))
    base = replace(BASE, train=replace(BASE.train, **train))
    with pytest.raises(InputError, match=what):
        compare(base, CompareConfig(("vae", text)), tmp_path / "out")
    assert not (tmp_path / "out").exists()
