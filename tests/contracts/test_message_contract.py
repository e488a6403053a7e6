"""What is wrong is said in Python's names to a Python caller, and in options to who sits at the command line."""

import ast
import re
from pathlib import Path

import pytest
from cli_process import TINY, bars, cli, own_cache  # noqa: F401
from flat_runs import run_of

import lambda_vae
from lambda_vae.cli.commands import COMMANDS, command
from lambda_vae.cli.complaints import as_options
from lambda_vae.comparisons import CompareConfig, compare
from lambda_vae.errors import InputError
from lambda_vae.runs import train

# ruff: noqa: F811 - fixtures come by import

SOURCE = Path(lambda_vae.__file__).parent
_OPTION = re.compile(r"(?<![\w-])--[a-z]\w+")
_NAMED = re.compile(r"`(\w+)(?:=[^`]*)?`")


def sentences():
    """(file, text) of every string with a blank in it below the command line; what an f-string inserts is left open."""
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                text = "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | inside:
                text = node.value
            else:
                continue
            if " " in text:
                yield path.relative_to(SOURCE), text


BELOW = [(path, text) for path, text in sentences() if path.parts[0] != "cli"]


def test_no_sentence_below_the_command_line_names_an_option():
    assert len(BELOW) > 500
    others = re.compile(r"`ray start --head`|`pip install --no-deps [^`]*`")  # other programs'
    assert [(str(path), text) for path, text in BELOW if _OPTION.search(others.sub("", text))] == []


def test_every_parameter_that_a_sentence_names_is_an_option_of_a_command():
    options = {name for each in COMMANDS for name in command(each)[1].flags}
    named = {name for path, text in BELOW if path.parts[0] in _RUN for name in _NAMED.findall(text)}
    assert {"out", "resume", "batch_size", "learning_rate", "image_size", "ray_address"} <= named
    assert named - options == set()


#: Packages whose sentences the commands pass on; others speak of models of one's own.
_RUN = {"runs", "comparisons", "training", "objectives", "data", "paper", "sharing", "measures", "generation"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_shows_its_own_options_in_such_a_sentence(name):
    flags = command(name)[1].flags
    for option, takes_none in flags.items():
        said = as_options(f"it is wrong; add `{option}=3` or `{option}`, not `no_{option}`", flags)
        value = "" if takes_none else " 3"
        assert said == f"it is wrong; add --{option}{value} or --{option}, not `no_{option}`"


def test_a_finished_run_is_refused_in_python_s_names_and_in_options(cli, bars, tmp_path):
    words = ("--data", bars, *TINY, "--epochs", 1, "--method", "vae", "--trackers", "[]")
    assert cli("train", *words, "--report", "false", "--out", tmp_path).code == 0
    said = cli("train", *words, "--out", tmp_path)
    assert said.err.endswith("holds this very run already; add --resume to go on, or choose another --out\n")
    small = {"hidden": (16,), "latent_dim": 3, "batch_size": 20, "iw_samples": 4, "evaluate_every": 0, "epochs": 1}
    config = run_of(data=str(bars), method="vae", trackers=(), **small)
    with pytest.raises(InputError, match=r"already; add `resume=True` to go on, or choose another `out`$"):
        train(config, tmp_path)
    with pytest.raises(InputError, match=r"is not empty and holds no comparison; choose another `out`$"):
        compare(config, CompareConfig(("vae",)), tmp_path)
