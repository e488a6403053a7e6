"""Colour images under a discretised logistic mixture, from the command line to the result, with every network."""

# ruff: noqa: F811 - fixtures come by import

import json
import math

import numpy as np
import pytest
import torch
from cli_process import cli, own_cache  # noqa: F401

from lambda_vae.generation import draw_examples, prior_sampler
from lambda_vae.runs import load_run

WORDS = [
    "--latent_dim", "3", "--batch_size", "20", "--iw_samples", "2", "--evaluate_every", "1", "--hidden", "[12]",
    "--encoder_width", "4", "--decoder_width", "4", "--decoder_blocks", "1", "--pixelcnn_layers", "1",
    "--multipliers", "[1, 2]", "--trackers", "[]", "--report", "false", "--learning_rate", "0.003",
]  # fmt: skip


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    """Images of 8x8x3, one colour each with a little noise; values at both ends among them."""
    path, random = tmp_path_factory.mktemp("patches") / "patches.npz", np.random.default_rng(0)
    images = random.integers(0, 256, (52, 1, 1, 3)) + random.integers(-20, 21, (52, 8, 8, 3))
    images = images.clip(0, 255).astype(np.uint8)
    np.savez(path, train=images[:40], test=images[40:])
    return path


@pytest.mark.parametrize("likelihood", ["logistic-mixture", "logistic-mixture-channels"])
@pytest.mark.parametrize("network", ["mlp", "resnet", "pixelcnn"])
def test_train_and_everything_after_it(network, likelihood, cli, patches, tmp_path):
    run = tmp_path / "run"
    epochs = 2 if network == "mlp" else 1
    words = ("--network", network, "--likelihood", likelihood, "--epochs", epochs, *WORDS)
    said = cli("train", "--data", patches, *words, "--out", run)
    assert said.code == 0, said.err
    metrics = json.loads((run / "metrics.json").read_text())
    # An untrained mixture of random numbers is about as good as 8 bits a value: a wrong sign or scale is far from it.
    assert 3 < metrics["nll_bound"] / (192 * math.log(2)) < 12
    assert np.isfinite([metrics["nll_iw"], *metrics["dimensions"]["decoder_capacity"]]).all()
    with np.load(run / "images.npz") as images:
        assert images["prior_samples"].shape == (48, 8, 8, 3)
        assert images["reconstructions"].any()
    for command, shape in (("sample", (4, 192)), ("reconstruct", (2, 4, 192))):
        out = tmp_path / f"{command}.npy"
        assert cli(command, run, "--n", 4, "--out", out).code == 0
        values = np.load(out)
        assert values.shape == shape
        assert 0 <= values.min() <= values.max() <= 1
        drawn = values if command == "sample" else values[1]
        whole = np.abs(drawn * 255 - np.round(drawn * 255)).max() < 1e-3
        assert whole == (network == "pixelcnn")  # pixels it chose one by one; the others show E[x|z]
    again = tmp_path / "again.json"
    assert cli("diagnose", run, "--json", again).code == 0
    assert json.loads(again.read_text())["nll_bound"] == pytest.approx(metrics["nll_bound"], rel=1e-5)


def test_training_lowers_the_bound(cli, patches, tmp_path):
    words = ("train", "--data", patches, "--likelihood", "logistic-mixture-channels", *WORDS)
    bounds = []
    for epochs in (1, 15):
        run = tmp_path / str(epochs)
        assert cli(*words, "--epochs", epochs, "--evaluate_every", 0, "--out", run).code == 0
        bounds.append(json.loads((run / "metrics.json").read_text())["nll_bound"])
    assert bounds[1] < bounds[0]


def test_examples_are_drawn_as_whole_values(cli, patches, tmp_path):
    """What generation is measured on: k/255, not E[x|z], so that a judge of the same likelihood takes it."""
    run = tmp_path / "run"
    words = ("train", "--data", patches, "--likelihood", "logistic-mixture", "--epochs", 1, *WORDS)
    assert cli(*words, "--evaluate_every", 0, "--out", run).code == 0
    vae = load_run(run).vae
    x = draw_examples(vae, prior_sampler(vae.p_z()), 5, torch.Generator().manual_seed(0))
    assert x.shape == (5, 192)
    torch.testing.assert_close(x * 255, (x * 255).round(), rtol=0, atol=1e-3)


@pytest.mark.parametrize("likelihood", ["logistic-mixture", "logistic-mixture-channels"])
def test_vectors_are_refused_in_one_sentence(likelihood, cli, tmp_path):
    path = tmp_path / "vectors.npy"
    np.save(path, np.random.default_rng(0).normal(size=(80, 12)).astype(np.float32))
    said = cli("train", "--data", path, "--likelihood", likelihood, *WORDS, "--out", tmp_path / "run")
    assert said.code == 2
    assert f"vectors holds vectors, and the likelihood {likelihood} is one of images with 256 values" in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "run").exists()
