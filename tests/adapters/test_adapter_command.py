"""`lambda-vae diagnose --adapter`: the user's module by its name, the data from it or from the command line."""

import json

import pytest

from lambda_vae.cli import main

MODULE = """
import torch
from lambda_vae.likelihoods import bernoulli

torch.manual_seed(0)
DECODER = torch.nn.Linear(2, 64).eval()

def encode(x):
    x = x.flatten(1)
    return x[:, :2] * 0 + 0.1, torch.zeros(len(x), 2)

def model():
    return encode, bernoulli(DECODER, logits=True)

def with_data():
    return (*model(), (torch.rand(60, 64, generator=torch.Generator().manual_seed(0)) < 0.5).float())

def with_options():
    return (lambda x: (encode(x)[0], 1 + encode(x)[1]), None, with_data()[2], {"takes": "std", "dim": "site"})

def with_wrong_options():
    return (encode, None, with_data()[2], {"samples": 3})

def with_no_options():
    return (encode, None, with_data()[2], 3)

def wrong():
    return encode

def of_a(name, *more):
    return model()

VALUE = 3
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    (tmp_path / "my_vae_module.py").write_text(MODULE)
    (tmp_path / "breaks.py").write_text("import a_module_that_is_not_there")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAMBDA_VAE_CACHE", str(tmp_path / "cache"))
    # the next test's module of that name is another file
    monkeypatch.delitem(__import__("sys").modules, "my_vae_module", raising=False)


def test_report_and_its_files(tmp_path, capsys):
    words = ["--adapter", "my_vae_module:with_data", "--iw_samples", "2", "--json", "m.json", "--html", "page.html"]
    main(["diagnose", *words])
    said = capsys.readouterr().out
    assert "0 of 2 dimensions are in use; 2 collapsed" in said
    assert json.loads((tmp_path / "m.json").read_text())["active_units"] == 0
    assert "my_vae_module:with_data" in (tmp_path / "page.html").read_text()


def test_data_by_name(capsys):
    main(["diagnose", "--adapter", "my_vae_module:model", "--data", "digits", "--iw_samples", "1", "--dim", "site"])
    assert "on 355 examples" in capsys.readouterr().out


def test_options_and_no_likelihood(tmp_path, capsys):
    main(["diagnose", "--adapter", "my_vae_module:with_options", "--json", "m.json"])
    assert "No log_likelihood was given" in capsys.readouterr().out
    assert json.loads((tmp_path / "m.json").read_text())["nll_bound"] is None


BAD = {
    "an unknown option": (["diagnose", "--adapter", "my_vae_module:with_wrong_options"], "keyword argument 'samples'"),
    "options that are none": (["diagnose", "--adapter", "my_vae_module:with_no_options"], "must be a dict of options"),
    "neither": (["diagnose"], "RUN is missing; give the folder of a run, or --adapter"),
    "both": (["diagnose", "run", "--adapter", "a:b"], "choose one"),
    "no colon": (["diagnose", "--adapter", "my_vae_module"], "write it package.module:function"),
    "a path": (["diagnose", "--adapter", "../my_vae_module.py:model"], "write it package.module:function"),
    "no module": (["diagnose", "--adapter", "not_there:model"], "there is no module 'not_there'"),
    "no submodule": (["diagnose", "--adapter", "my_vae_module.part:model"], "my_vae_module"),
    "no function": (["diagnose", "--adapter", "my_vae_module:nothing"], "has no function 'nothing'"),
    "no callable": (["diagnose", "--adapter", "my_vae_module:VALUE"], "has no function 'VALUE'"),
    "arguments": (["diagnose", "--adapter", "my_vae_module:of_a"], "wants name; it is called without arguments"),
    "one callable": (["diagnose", "--adapter", "my_vae_module:wrong"], "must end in `return encode, log_likelihood`"),
    "no data": (["diagnose", "--adapter", "my_vae_module:model"], "returns no data; add --data"),
    "dim": (["diagnose", "--adapter", "my_vae_module:with_data", "--dim", "pixel"], "dim is 'pixel'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence(case, capsys):
    words, expected = BAD[case]
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    assert expected in said
    assert said.count("\n") == 1


def test_what_the_users_own_module_does_wrong_keeps_its_traceback():
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
        main(["diagnose", "--adapter", "breaks:model"])
