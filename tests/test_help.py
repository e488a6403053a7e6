"""The help of the commands, and the signatures in the source that it is made of."""

# ruff: noqa: F811 - fixtures come by import

import inspect
import subprocess
import sys
from argparse import SUPPRESS

import pytest
from cli_process import cli, own_cache  # noqa: F401

from lambda_vae.cli.commands import COMMANDS, command
from lambda_vae.cli.help import OF_METHODS
from lambda_vae.cli.signatures import Source, source


@pytest.mark.parametrize(("columns", "lines"), [(80, 100), (120, 84)])
def test_the_help_of_train_fits_two_screens(cli, monkeypatch, columns, lines):
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = cli("train", "--help").out.splitlines()
    assert len(shown) <= lines
    assert max(map(len, shown)) <= columns


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_every_option_with_its_default(cli, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "80")
    said = " ".join(cli(*name.split(), "--help").out.split())
    for action in command(name)[1]._actions:
        if action.help == OF_METHODS:
            continue
        meaning = action.help.replace("%%", "%")
        assert " ".join(filter(None, [*action.option_strings[-1:], action.metavar])) in said
        assert meaning in said
        assert not meaning.endswith(".")
        if action.nargs != 0 and action.default not in (None, SUPPRESS, [], ()):  # flags have none
            assert meaning.endswith("]"), action.dest


@pytest.mark.parametrize("name", COMMANDS)
def test_the_source_says_what_the_functions_do(name):
    """Of each command and of all that lend it options."""
    called, _ = command(name)
    for one in [called, *(mark for option in called.options for mark in option.marks if isinstance(mark, Source))]:
        of, real = one.load(), inspect.signature(one.load(), eval_str=True).parameters
        assert [option.name for option in one.options] == list(real)
        for option in one.options:
            expected = real[option.name]
            assert isinstance(of, type) or option.kind == expected.kind
            assert (option.value is None) == (expected.default is inspect.Parameter.empty)
            if isinstance(expected.default, str | int | float | tuple):
                assert option.default == expected.default
                assert "Method" in str(expected.annotation) or option.marks[0] == expected.annotation


def test_options_of_a_base_class_and_names_from_elsewhere_are_known():
    options = {option.name: option for option in source("runs.networks:PixelCNN").options}
    assert list(options)[-1] == "pixelcnn_layers"
    assert options["multipliers"].default == (1, 2, 4)
    assert options["multipliers"].marks == [tuple[int, ...]]
    image = {option.name: option for option in source("data.pictures:ImageOptions").options}
    assert str(image["colour"].marks[0]) == "typing.Literal['kept', 'grey', 'rgb']"


#: Ends that need no tensors: one that has begun to wait for torch is found at once.
_WITHOUT_TORCH = f"""
import sys
from lambda_vae.cli import main
for words in (
    ["--help"], ["--version"], ["list"], ["list", "lambda-vae"], ["data", "list"], ["tran"], ["theory", "--dleta", "2"],
    *([*name.split(), "--help"] for name in {list(COMMANDS)}),
):
    try:
        main(words)
    except SystemExit:
        pass
    assert "torch" not in sys.modules, words
"""


def test_commands_that_need_no_tensors_import_no_torch(tmp_path):
    done = subprocess.run([sys.executable, "-c", _WITHOUT_TORCH], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
