"""Networks for images, from the command line to the result."""

# ruff: noqa: F811 - fixtures come by import

import json

import numpy as np
import pytest
from cli_process import bars, cli, outcome, own_cache  # noqa: F401

WORDS = [
    "--latent_dim", "3", "--batch_size", "30", "--iw_samples", "2", "--evaluate_every", "1", "--epochs", "1",
    "--encoder_width", "4", "--decoder_width", "4", "--decoder_blocks", "1", "--pixelcnn_layers", "1",
    "--multipliers", "[1, 2]", "--trackers", "[]", "--report", "false",
]  # fmt: skip


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """Images of 5x6 in three channels."""
    path = tmp_path_factory.mktemp("colours") / "colours.npz"
    random = np.random.default_rng(0)
    np.savez(path, train=random.integers(0, 256, (60, 5, 6, 3), dtype=np.uint8), test=np.zeros((4, 5, 6, 3), np.uint8))
    return path


@pytest.mark.parametrize("network", ["resnet", "pixelcnn"])
def test_train_and_everything_after_it(network, cli, colours, tmp_path):
    """Two steps of a λ-VAE; then samples, reconstructions and a second diagnosis of what was saved."""
    run = tmp_path / "run"
    said = cli("train", "--data", colours, "--network", network, *WORDS, "--out", run)
    assert said.code == 0, said.err
    metrics = json.loads((run / "metrics.json").read_text())
    assert np.isfinite([metrics["nll_bound"], metrics["nll_iw"], *metrics["dimensions"]["decoder_capacity"]]).all()
    with np.load(run / "images.npz") as images:
        assert images["prior_samples"].shape == (48, 5, 6, 3)
    for command in ("sample", "reconstruct"):
        out = tmp_path / f"{command}.npy"
        assert cli(command, run, "--n", 4, "--out", out).code == 0
        values = np.load(out)
        assert values.shape == ((4, 90) if command == "sample" else (2, 4, 90))
        assert (network == "resnet") != set(np.unique(values)).issubset({0.0, 1.0})
    again = tmp_path / "again.json"
    assert cli("diagnose", run, "--json", again).code == 0
    assert json.loads(again.read_text())["nll_bound"] == pytest.approx(metrics["nll_bound"], rel=1e-5)


@pytest.mark.parametrize("network", ["mlp", "resnet", "pixelcnn"])
def test_a_run_that_was_cut_goes_on_to_the_same_result(network, cli, bars, tmp_path):
    words = ("train", "--data", bars, "--network", network, *WORDS, "--hidden", "[8]", "--epochs", 2)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    words += ("--checkpoint_every", 1)
    assert cli(*words, "--keep_checkpoints", 1, "--out", whole).code == 0
    first = next((whole / "checkpoints").glob("epoch-00001-*"))
    said = cli(*words, "--fork", first, "--out", cut)
    assert said.code == 0, said.err
    assert outcome(cut) == outcome(whole)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--network", "resnet", "--latent_dim", "33"], "latent_dim is 33 and the encoder ends in 32 numbers"),
        (["--network", "resnet", "--encoder_width", "0"], "a ResNet of width 0"),
        (["--network", "pixelcnn", "--pixelcnn_layers", "0"], "a PixelCNN of width 4 and 0 layers"),
        (["--network", "pixelcnn", "--likelihood", "gaussian"], "draws pixels one at a time"),
        (["--network", "resnat"], "'resnet'"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(words, what, cli, bars, tmp_path):
    said = cli("train", "--data", bars, *WORDS, *words, "--out", tmp_path / "run")
    assert said.code == 2
    assert what in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_vectors_are_refused_by_a_network_for_images(cli, tmp_path):
    path = tmp_path / "vectors.npy"
    np.save(path, np.random.default_rng(0).normal(size=(80, 12)).astype(np.float32))
    said = cli("train", "--data", path, "--network", "resnet", *WORDS, "--out", tmp_path / "run")
    assert said.code == 2
    assert "which is no image; use network=mlp" in said.err
