"""A run as a folder to hand on: whole, without secrets, and read back without trust."""

# ruff: noqa: F811 - fixtures come by import

import json
import math
import pickle
import shutil
import sys
from dataclasses import asdict

import pytest
import torch
import yaml
from cli_process import bars, cli, own_cache, tree  # noqa: F401
from fake_hub import fake_hub  # noqa: F401
from flat_runs import run_of
from handed_on import SMALL, hand_made, rehash
from markdown_it import MarkdownIt
from safetensors.torch import load_file, save_file

from lambda_vae import diagnose
from lambda_vae.errors import InputError
from lambda_vae.files import read_json, write_json
from lambda_vae.reports.card import model_card
from lambda_vae.runs import diagnose_run, load_run, train
from lambda_vae.runs.model_record import is_shared
from lambda_vae.sharing import from_pretrained, push_to_hub, share_run

TINY = {"hidden": (16,), "latent_dim": 4, "epochs": 2, "iw_samples": 4, "evaluate_every": 0, "trackers": ()}


@pytest.fixture(scope="module")
def _made(tmp_path_factory, own_cache):
    """A run on embedded data, and what was made of it; the tests do not change either."""
    folder = tmp_path_factory.mktemp("handed")
    train(run_of(data="digits", delta=1.2, **TINY), folder / "run")
    return folder / "run", share_run(folder / "run", folder / "shared")


@pytest.fixture
def run(_made):
    return _made[0]


@pytest.fixture
def shared(_made, tmp_path):
    """A copy of the shared model that a test may damage."""
    return shutil.copytree(_made[1], tmp_path / "shared")


def changed(folder, part, **changes):
    """Write other values into one part of config.json."""
    record = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", {**record, part: {**record[part], **changes}})


def test_what_is_handed_on_is_the_model_with_its_diagnosis(run, shared):
    assert {path.name for path in shared.iterdir()} == {"README.md", "config.json", "history.json", "model.safetensors"}
    ours, theirs = load_run(run), from_pretrained(shared)
    assert not theirs.vae.training
    assert theirs.shape == (8, 8)
    assert torch.equal(ours.exponent, theirs.exponent)
    assert ours.model.equalization.delta == theirs.vae.equalization.delta == 1.2
    x = torch.rand(5, 64)
    assert torch.equal(ours.vae.encode(x).mu, theirs.vae.encode(x).mu)
    assert torch.equal(ours.vae.decode(x[:, :4]).logits, theirs.vae.decode(x[:, :4]).logits)
    assert theirs.diagnosis == read_json(run / "metrics.json")
    assert asdict(theirs.config) == {**asdict(ours.config), "likelihood": "bernoulli"}
    assert theirs.provenance["commit"] == read_json(run / "provenance.json")["commit"]
    assert "machine" not in theirs.provenance


def test_a_model_that_was_trained_with_lambda_is_measured_with_it_without_being_told(run):
    loaded, metrics = load_run(run), read_json(run / "metrics.json")
    test_x = loaded.measured
    report = json.loads(json.dumps(diagnose(loaded.model, test_x, iw_samples=TINY["iw_samples"]).to_record()))
    assert min(metrics["dimensions"]["exponent"]) > 1.0  # else all this says nothing
    measured = ("nll_bound", "surrogate_nll", "nll_iw", "active_units", "snr_capacity_predicted")
    assert {name: report[name] for name in measured} == {name: metrics[name] for name in measured}
    assert {**report["dimensions"], "cause": None} == {**metrics["dimensions"], "cause": None}  # without a history


def test_a_diagnosis_of_what_was_handed_on_finds_the_same_numbers(shared, cli, tmp_path):
    found = json.loads(json.dumps(diagnose_run(shared).to_record()))
    given = from_pretrained(shared).diagnosis
    assert found == {name: given[name] for name in found}
    assert found["cause_counts"] == given["cause_counts"]
    for command in ("sample", "reconstruct"):
        said = cli(command, shared, "--out", tmp_path / f"{command}.npy")
        assert said.code == 0, said.err


def test_no_folder_of_the_machine_leaves_it(bars, cli, tmp_path):
    words = (
        "--hidden",
        "[4]",
        "--latent_dim",
        2,
        "--epochs",
        1,
        "--iw_samples",
        2,
        "--trackers",
        "[]",
        "--batch_size",
        20,
    )
    assert cli("train", "--data", bars, *words, "--report", "false", "--out", tmp_path / "run").code == 0
    provenance = read_json(tmp_path / "run" / "provenance.json")
    command = f"lambda-vae train --data {bars} --out={tmp_path / 'run'} --delta 1.2"
    write_json(tmp_path / "run" / "provenance.json", {**provenance, "command": command})
    said = cli("share", tmp_path / "run", "--out", tmp_path / "shared")
    assert said.code == 0, said.err
    written = b"".join(tree(tmp_path / "shared").values()).decode("utf-8", "replace")
    assert str(tmp_path) not in written
    assert str(bars.parent) not in written
    assert "lambda-vae train --data bars.npz --out=run --delta 1.2" in written
    assert from_pretrained(tmp_path / "shared").config.data == "bars.npz"
    again = cli("diagnose", tmp_path / "shared", "--data", bars, "--json", tmp_path / "m.json")
    assert again.code == 0, again.err
    assert read_json(tmp_path / "m.json")["nll_bound"] == read_json(tmp_path / "run" / "metrics.json")["nll_bound"]


def test_the_card_says_what_was_found(shared):
    card, model = (shared / "README.md").read_text(), from_pretrained(shared)
    head = yaml.safe_load(card.split("---\n")[1])
    assert head["library_name"] == "lambda-vae"
    found = model.diagnosis
    for text in (
        found["verdict"], f"{found['active_units']} of 4", f"{found['nll_bound']:.2f} ±", f"{found['nll_iw']:.2f} ±",
        model.provenance["commit"], model.provenance["data"]["sha256"], "from_pretrained(", found["explanations"][0],
    ):  # fmt: skip
        assert text in card
    assert all(str(cause) in card for cause in found["dimensions"]["cause"] if cause)


HOSTILE = "<script>alert(1)</script> | [a](javascript:b) ![c](d) `e`\n# f **g** ```\n---\nh"


def test_no_name_acts_in_the_card(shared):
    record = json.loads((shared / "config.json").read_text())
    plain = MarkdownIt("commonmark", {"html": True}).enable("table")
    rows = plain.render(model_card(record)).count("<tr>")
    record["diagnosis"] |= {
        "label": HOSTILE,
        "verdict": HOSTILE,
        "explanations": [HOSTILE] * 4,
        "nll_iw_proposal": HOSTILE,
    }
    record["provenance"] |= {"command": HOSTILE, "versions": {HOSTILE: HOSTILE}, "commit": HOSTILE}
    record["provenance"]["data"] |= {"name": HOSTILE, "source": HOSTILE}
    record["config"]["method"] = HOSTILE
    page = plain.render(model_card(record).split("---\n", 2)[2])
    assert page.count("<tr>") == rows
    assert not [tag for tag in ("<script", "<a ", "<img", "<hr") if tag in page]
    assert page.count("<h1>") == 1
    assert "alert(1)" in page
    record["provenance"]["command"] = "```"
    assert plain.render(model_card(record)).count("<tr>") == rows


def test_infinite_settings_come_through(shared):
    changed(shared, "config", delta="inf")
    assert from_pretrained(shared).config.method.values["delta"] == math.inf
    changed(shared, "config", data="inf")
    assert from_pretrained(shared).config.data == "inf"
    changed(shared, "config", epochs="inf")
    with pytest.raises(InputError, match="epochs is inf; it must be a whole number"):
        from_pretrained(shared)


@pytest.mark.parametrize(
    ("method", "network"), [("iaf", "mlp"), ("vamp-prior", "resnet"), ("avb", "mlp"), ("flow-prior", "pixelcnn")]
)
def test_models_of_every_build_come_back(method, network, tmp_path):
    config = run_of(data="a", method=method, network=network, likelihood="bernoulli", **SMALL)
    folder = hand_made(tmp_path / "model", config, (6, 5), torch.ones(3))
    model = from_pretrained(folder)
    found = {**model.vae.state_dict(), "exponent": model.exponent}
    there = load_file(folder / "model.safetensors")
    assert there.keys() == found.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in there.items())


class _Trap:
    """Whoever unpickles it runs code."""

    def __reduce__(self):
        return (sys.exit, (99,))


def _pickled(folder):
    (folder / "model.safetensors").write_bytes(pickle.dumps(_Trap()))
    rehash(folder)


def _other_byte(folder):
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)


def _with_tensors(change):
    def damage(folder):
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")
        rehash(folder)

    return damage


def _text(content):
    return lambda folder: (folder / "config.json").write_text(content)


def _part(part, **changes):
    return lambda folder: changed(folder, part, **changes)


DAMAGES = {
    "no config": (lambda f: (f / "config.json").unlink(), "config.json does not exist"),
    "not JSON": (_text("{"), "not valid JSON"),
    "nested without end": (_text("[" * 100_000), "not valid JSON"),
    "no object": (_text("[1]"), "it must be an object"),
    "another format": (_text('{"format": "x"}'), "its format is 'x'"),
    "a part missing": (_text('{"format": "lambda-vae shared model 1"}'), "lacks key"),
    "an unknown part": (lambda f: rehash(f, code="import os"), "has the unknown key 'code'"),
    "an unknown setting": (_part("config", hiden=[3]), "unknown key 'hiden' (did you mean 'hidden'?)"),
    "a setting of another kind": (_part("config", latent_dim="4"), "latent_dim is '4'; it must be a whole number"),
    "an unknown method": (_part("config", method="vea"), "did you mean 'vae'"),
    "no likelihood": (_part("config", likelihood=None), "its likelihood is None"),
    "a shape that is none": (lambda f: rehash(f, shape=[8, 0]), "'shape' is [8, 0]"),
    "a config that is no object": (lambda f: rehash(f, config=[]), "'config' must be an object"),
    "a diagnosis of another size": (_part("diagnosis", latent_dim=5), "its diagnosis has 5 dimensions"),
    "a diagnosis of text": (_part("diagnosis", nll_bound="low"), "'nll_bound' must be a number"),
    "a file elsewhere": (_part("sha256", **{"../run/config.yaml": "0" * 64}), "'sha256' must name model.safetensors"),
    "a hash that is none": (_part("sha256", **{"history.json": "0"}), "the SHA-256 of history.json is '0'"),
    "weights missing": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors does not exist"),
    "weights changed": (_other_byte, "model.safetensors is not the file that config.json speaks of"),
    "history changed": (lambda f: (f / "history.json").write_text("{}"), "history.json is not the file"),
    "a pickle": (_pickled, "model.safetensors is damaged"),
    "a tensor too few": (_with_tensors(lambda t: t.pop("encoder.0.weight")), "encoder.0.weight is None"),
    "a tensor too many": (_with_tensors(lambda t: t.update(more=torch.ones(1))), "Unexpected key(s) in state_dict"),
    "another λ": (_with_tensors(lambda t: t.update(exponent=torch.ones(5))), "its exponent is torch.float32 of"),
    "sizes that no memory holds": (_part("config", hidden=[10**9, 10**9]), "encoder.0.weight is [16, 64], not"),
    "other sizes": (_part("config", hidden=[17]), "encoder.0.weight is [16, 64], not [17, 64]"),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "what"), DAMAGES.values(), ids=DAMAGES.keys())
def test_what_was_damaged_is_refused(damage, what, shared):
    damage(shared)
    with pytest.raises(InputError) as refusal:
        from_pretrained(shared)
    assert what in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_what_is_no_shared_model_is_refused(run, shared, tmp_path):
    with pytest.raises(InputError, match="is neither a folder nor OWNER/NAME"):
        from_pretrained(tmp_path / "nothing")
    with pytest.raises(InputError, match="is a run, not a shared model"):
        from_pretrained(run)
    with pytest.raises(InputError, match="is a shared model already"):
        share_run(shared, tmp_path / "new")
    with pytest.raises(InputError, match=r"is not empty; choose another `out`"):
        share_run(run, shared)


def test_a_run_that_failed_or_never_ended_is_not_shared(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    write_json(copy / "metrics.json", {**read_json(run / "metrics.json"), "status": "failed", "failure": "NaN"})
    with pytest.raises(InputError, match=r"failed \(NaN\)"):
        share_run(copy, tmp_path / "shared")
    (copy / "model.safetensors").unlink()
    with pytest.raises(InputError, match="is not finished"):
        share_run(copy, tmp_path / "shared")
    assert not (tmp_path / "shared").exists()


def test_a_folder_cut_short_is_no_shared_model(run, tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lambda_vae.sharing.share.model_card", stopped)
    with pytest.raises(KeyboardInterrupt):
        share_run(run, tmp_path / "shared")
    assert not is_shared(tmp_path / "shared")


def test_to_the_hub_and_back(shared, fake_hub):
    (shared / "secret.txt").write_text("not to be sent")
    address = push_to_hub(shared, "me/digits", private=True)
    assert address.endswith("me/digits")
    assert fake_hub.private == {"me/digits": True}
    assert fake_hub.files["me/digits"] == {n: c for n, c in tree(shared).items() if n != "secret.txt"}
    fake_hub.files["me/digits"]["setup.py"] = b"raise SystemExit"
    model = from_pretrained("me/digits", revision="main")
    assert not (model.folder / "setup.py").exists()
    assert model.diagnosis == from_pretrained(shared).diagnosis
    assert torch.equal(model.exponent, from_pretrained(shared).exponent)


def test_a_damaged_model_is_neither_sent_nor_taken(shared, fake_hub):
    push_to_hub(shared, "me/digits")
    fake_hub.files["me/digits"]["model.safetensors"] += b"x"
    with pytest.raises(InputError, match=r"model.safetensors is not the file that config.json speaks of"):
        from_pretrained("me/digits")
    _other_byte(shared)
    fake_hub.files.clear()
    with pytest.raises(InputError, match=r"model.safetensors is not the file"):
        push_to_hub(shared, "me/digits")
    assert not fake_hub.files


def test_what_the_hub_refuses_is_said_in_a_sentence(shared, fake_hub, monkeypatch):
    with pytest.raises(InputError, match=r"me/none could not be fetched \(404"):
        from_pretrained("me/none")
    push_to_hub(shared, "me/digits")
    with pytest.raises(InputError, match="me/digits could not be fetched"):
        from_pretrained("me/digits", revision="nope")
    with pytest.raises(InputError, match="'digits' is no name of a model on the hub; write OWNER/NAME"):
        push_to_hub(shared, "digits")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"me/digits could not be pushed .*refused.*check name, token and network"):
        push_to_hub(shared, "me/digits")


def test_without_the_package_the_extra_is_named(shared, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"needs the package huggingface_hub; pip install 'lambda-vae\[hub\]'"):
        from_pretrained("me/digits")
    with pytest.raises(InputError, match=r"pip install 'lambda-vae\[hub\]'"):
        push_to_hub(shared, "me/digits")
    assert from_pretrained(shared).shape == (8, 8)


def test_the_command_shares_and_pushes(run, cli, fake_hub, tmp_path):
    for words, what in (
        (["--push", "digits"], "'digits' is no name"),
        (["--private"], "add --push OWNER/NAME"),
    ):
        said = cli("share", run, "--out", tmp_path / "shared", *words)
        assert said.code == 2
        assert what in said.err
        assert not (tmp_path / "shared").exists()
    said = cli("share", run, "--out", tmp_path / "shared", "--push", "me/digits")
    assert said.code == 0, said.err
    assert f"shared: {tmp_path / 'shared'}" in said.out
    assert "pushed: " in said.out
    assert set(fake_hub.files["me/digits"]) == {"README.md", "config.json", "history.json", "model.safetensors"}
