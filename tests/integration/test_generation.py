"""`lambda-vae generation` and `sample --sampler` on a run of small pictures, and one on real digits."""

# ruff: noqa: F811 - fixtures come by import

import json
from pathlib import Path

import numpy as np
import pytest
from cli_process import TINY, bars, cli, own_cache, tree  # noqa: F401
from PIL import Image

from lambda_vae.cli import main
from lambda_vae.generation import flow


@pytest.fixture(scope="module")
def runs(own_cache, bars, tmp_path_factory):
    """Two runs on the same pictures, and one that saw them grey."""
    folder = tmp_path_factory.mktemp("generation")
    plain, lambda_ = ["--method", "vae"], ["--method", "lambda-vae", "--delta", "1.1"]
    for name, words in (("vae", plain), ("lambda", lambda_), ("grey", [*plain, "--binarisation", "none"])):
        where = ["--out", str(folder / name), "--report", "false", "--data", str(bars), "--epochs", "3"]
        main(["train", *where, *TINY, *words])
    return folder


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(flow, "_LAYERS", 1)
    monkeypatch.setattr(flow, "_HIDDEN", (8,))
    monkeypatch.setattr(flow, "_EPOCHS", 2)


def test_every_sampler_is_measured_and_drawn(cli, runs, tmp_path):
    words = ["--samplers", "prior", "gaussian", "flow", "--judge", runs / "vae", "--out", tmp_path]
    said = cli("generation", runs / "lambda", *words)
    assert said.code == 0, said.err
    record = json.loads((tmp_path / "generation.json").read_text())
    assert [row["name"] for row in record["rows"]] == ["training data", "prior", "gaussian", "flow"]
    assert record["n"] == 20  # test pictures; there are no more
    assert "20 points are few" in record["rows"][1]["remarks"][0]
    for row in record["rows"]:
        assert set(row["elbo"]) == {"lambda", "vae"}
        assert all(0.0 <= row[name]["value"] <= 1.0 for name in ("precision", "recall", "coverage"))
        assert all(score["stderr"] > 0.0 and score["value"] < 0.0 for score in row["elbo"].values())
        assert row["name"] in said.out
        assert row["note"] in said.out
    assert record["space"].startswith("PCA of 60 training examples")
    assert record["space"] in said.out
    assert "ELBO under vae" in said.out
    with Image.open(tmp_path / "samples.png") as picture:
        assert picture.width > 4 * picture.height * 0.8
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize("features", ["pixels", "codes"])
def test_the_space_is_part_of_the_result(cli, runs, tmp_path, features):
    words = ["--samplers", "prior", "--features", features, "--n", 12, "--out", tmp_path]
    assert cli("generation", runs / "lambda", *words).code == 0
    space = json.loads((tmp_path / "generation.json").read_text())["space"]
    assert space == {"pixels": "pixels", "codes": "codes (mu) of lambda"}[features]


def test_one_seed_gives_one_result_whatever_else_is_asked_for(cli, runs, tmp_path):
    def rows(*samplers, seed=0):
        out = tmp_path / "-".join((*samplers, str(seed)))
        assert cli("generation", runs / "vae", "--samplers", *samplers, "--seed", seed, "--out", out).code == 0
        return {row["name"]: row for row in json.loads((out / "generation.json").read_text())["rows"]}

    both, one, other = rows("prior", "gaussian"), rows("gaussian"), rows("gaussian", seed=1)
    assert both["gaussian"] == one["gaussian"]
    assert both["gaussian"]["elbo"] != other["gaussian"]["elbo"]


def test_saved_fits_are_drawn_from_again(cli, runs, tmp_path):
    words = ["--samplers", "prior", "gaussian", "flow", "--save_samplers", "--out", tmp_path / "fits"]
    assert cli("generation", runs / "vae", *words).code == 0
    assert {path.stem for path in (tmp_path / "fits").glob("*.safetensors")} == {"gaussian", "flow"}
    for name in ("gaussian", "flow"):
        fit = tmp_path / "fits" / f"{name}.safetensors"
        for place, sampler in (("a", fit), ("b", name)):
            drawn = cli("sample", runs / "vae", "--n", 4, "--sampler", sampler, "--out", tmp_path / f"{place}.npy")
            assert drawn.code == 0, drawn.err
        assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))
    assert cli("sample", runs / "vae", "--n", 4, "--out", tmp_path / "prior.npy").code == 0
    assert not np.array_equal(np.load(tmp_path / "prior.npy"), np.load(tmp_path / "a.npy"))


BAD = {
    "sampler": (["--samplers", "prior", "flwo"], "unknown sampler 'flwo' (did you mean 'flow'?)"),
    "features": (["--features", "pixel"], "unknown feature space 'pixel' (did you mean 'pixels'?)"),
    "n": (["--n", "1"], "n is 1; it must be at least 2"),
    "seed": (["--seed", "-1"], "seed is -1; it must be 0 to"),
    "judge of other data": (["--judge", "{runs}/grey"], "saw other data than"),
    "no judge": (["--judge", "{runs}/none"], "none"),
}


@pytest.mark.parametrize(("words", "what"), BAD.values(), ids=BAD.keys())
def test_bad_input_gets_one_sentence_and_writes_nothing(cli, runs, words, what):
    before = tree(runs)
    said = cli("generation", runs / "vae", *(word.format(runs=runs) for word in words))
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert what in said.err
    assert tree(runs) == before


def test_bad_samplers_are_refused_by_sample(cli, runs, tmp_path):
    assert "unknown sampler 'mix'" in cli("sample", runs / "vae", "--sampler", "mix").err
    assert "does not exist" in cli("sample", runs / "vae", "--sampler", tmp_path / "x.safetensors").err
    other = ["train", "--out", tmp_path / "other", "--report", "false", "--data", "digits", "--epochs", "1", *TINY]
    assert cli(*other, "--latent_dim", "2").code == 0
    words = ["--samplers", "gaussian", "--save_samplers", "--n", 9, "--out", tmp_path]
    assert cli("generation", tmp_path / "other", *words).code == 0
    said = cli("sample", runs / "vae", "--sampler", tmp_path / "gaussian.safetensors")
    assert "draws z of 2 dimensions and the run's have 3" in said.err


def test_a_trained_mnist_model(cli, data_root: Path, monkeypatch, tmp_path):
    """A planted difference on real pictures: training pictures are better samples than those of an untrained VAE."""
    monkeypatch.setenv("LAMBDA_VAE_DATA", str(data_root))
    words = ["--data", "mnist", "--epochs", "1", "--hidden", "[32]", "--batch_size", "500", "--iw_samples", "1"]
    run = tmp_path / "run"
    assert cli("train", *words, "--evaluate_every", 0, "--report", "false", "--out", run).code == 0
    said = cli("generation", run, "--samplers", "prior", "gaussian", "--n", 1000)
    assert said.code == 0, said.err
    training, prior, gaussian = json.loads((run / "generation" / "generation.json").read_text())["rows"]
    assert training["recall"]["value"] > 0.9 > 0.5 > prior["recall"]["value"]
    assert training["coverage"]["value"] > prior["coverage"]["value"] + 0.2
    assert gaussian["code_log_density"]["value"] > prior["code_log_density"]["value"]
