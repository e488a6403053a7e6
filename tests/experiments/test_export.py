"""Encoder and decoder as programmes of others: the same numbers, and no need of this package."""

# ruff: noqa: F811 - fixtures come by import

import json
import subprocess
import sys
import warnings

import jaxtyping
import numpy as np
import pytest
import torch
from cli_process import cli, own_cache  # noqa: F401
from flat_runs import run_of
from handed_on import SMALL, hand_made

from lambda_vae.errors import InputError
from lambda_vae.sharing import export_run, from_pretrained

SHAPE = (6, 5)

BUILDS = {
    "mlp": ("vae", "mlp", "bernoulli"),
    "vectors": ("delta-vae", "mlp", "gaussian"),
    "resnet": ("vae", "resnet", "logistic-mixture"),
    "pixelcnn": ("vae", "pixelcnn", "bernoulli"),
}

OUTPUTS = {
    "mlp": ["logits", "mean"],
    "vectors": ["mean", "logvar"],
    "resnet": ["theta"],
    "pixelcnn": ["logits", "mean"],
}


@pytest.fixture(autouse=True)
def _sizes_unlooked_at(monkeypatch):
    """The exporters trace with a batch of no size; a check of shapes at run time would give it one."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def model_of(build, folder):
    method, network, likelihood = BUILDS[build]
    config = run_of(data="a", method=method, network=network, likelihood=likelihood, **SMALL)
    return hand_made(folder, config, SHAPE, torch.tensor([1.0, 2.0, 3.0]))


def expected(build, vae, inputs):
    """What the programmes must give, asked of the model itself."""
    if "x" in inputs and "z" not in inputs:
        q = vae.encode(inputs["x"])
        return [q.mu, q.logvar]
    p_x = vae.decode(inputs["z"])
    p_x = p_x.given(inputs["x"]) if "x" in inputs else p_x
    if build == "vectors":
        return [p_x.mu, p_x.logvar.expand_as(p_x.mu)]
    return [p_x.theta] if build == "resnet" else [p_x.logits, p_x.mean]


def batches(described, sizes=(1, 2, 17)):
    for n in sizes:
        yield {name: torch.rand(n, *size[1:]) for name, size in described["inputs"].items()}


def described(out, half, ending):
    record = json.loads((out / "export.json").read_text())
    assert record["exponent"] == [1.0, 2.0, 3.0]
    return record["files"][f"{half}{ending}"]


@pytest.mark.parametrize("build", BUILDS)
def test_a_torch_programme_is_the_model_bit_for_bit(build, tmp_path):
    model = model_of(build, tmp_path / "model")
    files = export_run(model, tmp_path / "out", "torch")
    assert [file.name for file in files] == ["encoder.pt2", "decoder.pt2", "export.json"]
    vae = from_pretrained(model).vae
    for half in ("encoder", "decoder"):
        said = described(tmp_path / "out", half, ".pt2")
        assert said["largest_difference"] == 0.0
        assert said["outputs"] == (["mu", "logvar"] if half == "encoder" else OUTPUTS[build])
        assert list(said["inputs"]) == (["x"] if half == "encoder" else ["z", "x"] if build == "pixelcnn" else ["z"])
        programme = torch.export.load(tmp_path / "out" / f"{half}.pt2").module()
        for inputs in batches(said):
            found = programme(*inputs.values())
            assert all(torch.equal(a, b) for a, b in zip(found, expected(build, vae, inputs), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("build", ["mlp", "resnet", "pixelcnn"])
def test_an_onnx_programme_is_the_model_within_rounding(build, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="the extra lambda-vae[export] is not installed")
    model = model_of(build, tmp_path / "model")
    export_run(model, tmp_path / "out", "onnx")
    vae = from_pretrained(model).vae
    for half in ("encoder", "decoder"):
        said = described(tmp_path / "out", half, ".onnx")
        assert said["largest_difference"] < 1e-4
        session = runtime.InferenceSession(tmp_path / "out" / f"{half}.onnx", providers=["CPUExecutionProvider"])
        assert [one.name for one in session.get_outputs()] == said["outputs"]
        assert {one.name: one.shape for one in session.get_inputs()} == said["inputs"]
        for inputs in batches(said):
            found = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
            for ours, theirs in zip(expected(build, vae, inputs), found, strict=True):
                assert np.abs(ours.detach().numpy() - theirs).max() < 1e-4


_ALONE = """
import sys
sys.modules["lambda_vae"] = None
import torch
print(float(torch.export.load(sys.argv[1]).module()(torch.ones(4, 30))[0].sum()))
"""


def test_a_programme_runs_without_this_package(tmp_path):
    model = model_of("mlp", tmp_path / "model")
    encoder = export_run(model, tmp_path / "out", "torch")[0]
    done = subprocess.run([sys.executable, "-c", _ALONE, encoder], capture_output=True, text=True, check=True)
    ours = from_pretrained(model).vae.encode(torch.ones(4, 30)).mu.detach().sum()
    assert float(done.stdout) == pytest.approx(float(ours), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("method", "law"), [("iaf", "TransformedDistribution"), ("avb", "GaussianMixture")])
def test_a_posterior_without_mu_and_logvar_is_refused(method, law, tmp_path):
    config = run_of(data="a", method=method, likelihood="bernoulli", **SMALL)
    hand_made(tmp_path / "model", config, SHAPE)
    with pytest.raises(InputError, match=f"the encoder gives a {law}, which no mu and logvar describe"):
        export_run(tmp_path / "model", tmp_path / "out", "torch")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_exported_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    model = model_of("mlp", tmp_path / "model")
    with pytest.raises(InputError, match="format is 'tf'; it must be one of onnx, torch"):
        export_run(model, tmp_path / "out", "tf")
    with pytest.raises(InputError, match="is not empty; choose another `out`"):
        export_run(model, model, "torch")
    monkeypatch.setattr("lambda_vae.sharing.export.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"format onnx needs the package onnx; pip install 'lambda-vae\[export\]'"):
        export_run(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_programme_with_other_numbers_is_not_left_behind(tmp_path, monkeypatch):
    model = model_of("mlp", tmp_path / "model")
    load = torch.export.load

    class Doubled:
        def __init__(self, path):
            self.there = load(path).module()

        def module(self):
            return lambda *inputs: tuple(2.0 * found for found in self.there(*inputs))

    monkeypatch.setattr(torch.export, "load", Doubled)
    with pytest.raises(InputError, match="the exported encoder differs from the model by"):
        export_run(model, tmp_path / "out", "torch")
    assert not list((tmp_path / "out").iterdir())


def test_the_command_exports(cli, tmp_path):
    model = model_of("mlp", tmp_path / "model")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = cli("export", model, "--format", "torch", "--out", tmp_path / "out")
    assert said.code == 0, said.err
    assert f"exported: {tmp_path / 'out' / 'encoder.pt2'}" in said.out
    said = cli("export", model, "--format", "onx", "--out", tmp_path / "other")
    assert said.code == 2
    assert "did you mean 'onnx'" in said.err
