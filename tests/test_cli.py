"""The command line itself: help, options, config files, and one plain sentence for each thing wrong with them."""

# ruff: noqa: F811 - fixtures come by import

import json
import subprocess
import sys

import pytest
import yaml
from cli_process import TINY, bars, cli, own_cache, tree  # noqa: F401

import lambda_vae
from lambda_vae.cli import main
from lambda_vae.runs import METHODS, RunConfig
from lambda_vae.runs.flat import kinds, method_settings, write_config

COMMANDS = (
    "compare", "train", "diagnose", "likelihood", "information", "gradients", "sample", "generation", "reconstruct",
    "share", "export", "report", "predict", "theory", "list", "data list", "data prepare", "data verify",
)  # fmt: skip


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]], ids=str)
def test_help_names_every_command(cli, words):
    said = cli(*words)
    assert said.code == 0
    assert all(command.split()[0] in said.out for command in COMMANDS)


def test_a_reader_that_has_gone_gets_no_traceback():
    script = f"{sys.executable} -m lambda_vae.cli --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", f"sleep 0.2; {script}"], capture_output=True, text=True)
    assert done.returncode in (0, 141)  # 0 where all was written before the reader went
    assert done.stderr == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(cli, command):
    said = cli(*command.split(), "--help")
    assert said.code == 0
    assert f"usage: lambda-vae {command}" in said.out
    assert "class '" not in said.out


def test_help_tells_what_each_option_means(cli):
    said = cli("train", "--help")
    words = " ".join(said.out.split())
    for name in kinds().keys() - method_settings().keys():
        assert f"--{name}" in words
    assert "passes over the data [100]" in words  # from the docstring of TrainOptions
    assert "--release_epochs" not in words


def test_list_tells_the_settings_of_one_method(cli):
    words = " ".join(cli("list", "lambda-vae+warm-up").out.split())
    assert "lambda-vae+warm-up: λ-VAE + warm-up" in words
    assert "Bring λ back to 1 over the last so many epochs" in words
    assert "epochs (--warm_up_epochs)" in words
    assert "The knob, > 1" in " ".join(cli("list", "lambda-elbo").out.split())
    assert "did you mean 'lambda-vae'" in cli("list", "lambda-vea").err


def test_a_method_in_text_and_its_options_are_one_run(cli):
    one = printed_config(cli, "--method", "lambda-vae+warm-up", "--delta", 1.19, "--warm_up_epochs", 3, "--out", "x")
    assert (one["method"], one["delta"], one["warm_up_epochs"]) == ("lambda-vae+warm-up", 1.19, 3.0)
    said = cli("train", "--method", "lambda-vae:delta=1.19", "--delta", 1.2, "--out", "x")
    assert said.code == 2
    assert "delta is 1.2, and the method's own text says 1.19; give it once" in said.err


def test_version_is_the_package_s(cli):
    assert cli("--version").out.strip() == f"lambda-vae {lambda_vae.__version__}"


def test_list_names_every_method_with_its_paper(cli):
    said = cli("list")
    assert said.code == 0
    assert all(name in said.out for name in METHODS)
    assert "1312.6114" in said.out


def test_data_list_names_every_set(cli):
    said = cli("data", "list")
    assert said.code == 0
    assert all(name in said.out for name in ("digits", "mnist", "fashion-mnist", "omniglot"))


def test_data_prepare_then_verify(cli):
    prepared = cli("data", "prepare", "digits")
    assert prepared.code == 0
    assert "digits: 1442 train, 355 test, shape (8, 8), sha256 " in prepared.out
    verified = cli("data", "verify", "digits")
    assert verified.code == 0
    assert "BAD" not in verified.out


def test_data_verify_finds_a_changed_file(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("LAMBDA_VAE_CACHE", str(tmp_path))
    assert cli("data", "prepare", "digits").code == 0
    path = next(tmp_path.rglob("train_x.npy"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    said = cli("data", "verify", "digits")
    assert said.code == 2
    assert "BAD" in said.out
    assert "remove those files and prepare the data again" in said.err


def test_theory_gives_the_paper_s_capacities(cli, tmp_path):
    said = cli("theory", "--delta", 1.01, 1.1, "inf", "--latent_dim", 30, "--out", tmp_path / "theory.svg")
    assert said.code == 0
    assert "69.4" in said.out  # section 5 of the paper, D = 30
    assert "37.3" in said.out
    assert (tmp_path / "theory.svg").read_text().startswith("<?xml")


def test_predict_says_what_pythae_s_squared_error_leaves_of_digits(cli, tmp_path):
    files = ("--out", tmp_path / "noise.svg", "--json", tmp_path / "numbers.json")
    said = cli("predict", "--data", "digits", "--noise", 1, "--latent_dim", 10, *files)
    assert said.code == 0
    assert said.out.startswith("A linear VAE keeps 0 of 10 latent dimensions: with noise std 1 and KL weight 1")
    assert "10 would survive with a noise std below 0.3819" in said.out
    assert "pixels in [0, 1]" in said.out
    assert (tmp_path / "noise.svg").read_text().startswith("<?xml")
    assert json.loads((tmp_path / "numbers.json").read_text())["by_noise"][-1]["survivors"] == 10


def run_words(command):
    return [command, "--data", "digits", "--epochs", "1"]


TRAIN, COMPARE = run_words("train"), run_words("compare")

BAD_OPTIONS = {
    "delta 1": ([*TRAIN, "--delta", "1"], "delta is 1.0; it must be greater than 1"),
    "delta 0.5": ([*TRAIN, "--delta=0.5"], "delta is 0.5; it must be greater than 1"),
    "delta negative": ([*TRAIN, "--delta", "-3"], "delta is -3.0; it must be greater than 1"),
    "delta -inf": ([*TRAIN, "--delta=-inf"], "delta is -inf; it must be greater than 1"),
    "delta NaN": ([*TRAIN, "--delta", "nan"], "delta is nan; it must be greater than 1"),
    "delta text": ([*TRAIN, "--delta", "text"], "delta is 'text'; it must be a number"),
    "delta empty": ([*TRAIN, "--delta", ""], "delta is ''; it must be a number"),
    "compare delta 1": ([*COMPARE, "--delta", "1.1", "1"], "delta is 1.0; it must be greater than 1"),
    "compare delta NaN": ([*COMPARE, "--delta", "1.1", "NaN"], "delta is nan; it must be greater than 1"),
    "compare delta text": ([*COMPARE, "--delta", "1.1", "x"], "delta is 'x'; it must be a number"),
    "predict noise": (["predict", "--data", "digits", "--noise", "0"], "the noise std is 0.0; it must be a number"),
    "predict noise text": (["predict", "--data", "digits", "--noise", "x"], "noise is 'x'; it must be a number or one"),
    "predict beta": (["predict", "--data", "digits", "--beta", "0"], "the KL weight is 0.0; it must be a number"),
    "predict reduction": (["predict", "--data", "digits", "--reduction", "men"], "the reduction is 'men'; it must be"),
    "predict data": (["predict", "--data", "digts"], "unknown data set 'digts' (did you mean 'digits'?)"),
    "predict ending": (["predict", "--data", "digits", "--out", "x.txt"], "cannot write a figure as '.txt'"),
    "theory delta 1": (["theory", "--delta", "1"], "delta is 1.0; it must be greater than 1"),
    "theory delta NaN": (["theory", "--delta", "nan"], "delta is nan; it must be greater than 1"),
    "theory latent_dim": (["theory", "--latent_dim", "0"], "latent_dim is 0; it must be at least 1"),
    "method": ([*TRAIN, "--method", "lambda-vea"], "unknown method 'lambda-vea' (did you mean 'lambda-vae'?)"),
    "methods": ([*COMPARE, "--methods", "vae", "wram-up"], "unknown method 'wram-up' (did you mean 'warm-up'?)"),
    "method afar": ([*TRAIN, "--method", "xyz"], "unknown method 'xyz'; the methods are vae, no-z, beta-vae"),
    "data": ([*TRAIN, "--data", "minst"], "unknown data set 'minst' (did you mean 'mnist'?)"),
    "compare data": ([*COMPARE, "--data", "digit"], "unknown data set 'digit' (did you mean 'digits'?)"),
    "option": ([*TRAIN, "--laten_dim", "3"], "unknown option '--laten_dim' (did you mean '--latent_dim'?)"),
    "option with =": ([*TRAIN, "--detla=3"], "unknown option '--detla=3' (did you mean '--delta'?)"),
    "option cut short": ([*TRAIN, "--epoch", "3"], "unknown option '--epoch' (did you mean '--epochs'?)"),
    "option of another command": ([*COMPARE, "--method", "vae"], "'--method' (did you mean '--methods'?)"),
    "word": (["train", "extra"], "unknown option 'extra'"),
    "command": (["tran"], "unknown command 'tran' (did you mean 'train'?)"),
    "data command": (["data", "lst"], "unknown command 'data lst' (did you mean 'data list'?)"),
    "data alone": (["data"], "unknown command 'data'"),
    "no out": (["train", "--data", "digits"], "--out is missing; see lambda-vae train --help"),
    "no run": (["diagnose"], "RUN is missing"),
    "no names": (["data", "prepare"], "NAMES is missing"),
    "no value": ([*TRAIN, "--delta"], "--delta"),
    "epochs 0": ([*TRAIN, "--epochs", "0"], "epochs is 0; it must be at least 1"),
    "epochs text": ([*TRAIN, "--epochs", "x"], "epochs is 'x'; it must be a whole number"),
    "epochs fraction": ([*TRAIN, "--epochs", "1.5"], "epochs is '1.5'; it must be a whole number"),
    "batch_size 0": ([*TRAIN, "--batch_size", "0"], "batch_size is 0"),
    "batch_size": ([*TRAIN, "--batch_size", "2000"], "a step takes 2000 examples and the training data has 1442"),
    "compare batch_size": ([*COMPARE, "--batch_size", "2000"], "a step takes 2000 examples"),
    "samples": ([*TRAIN, "--samples", "0"], "samples is 0; it must be at least 1"),
    "iw_samples": ([*TRAIN, "--iw_samples", "0"], "iw_samples is 0; it must be at least 1"),
    "evaluate_every": ([*TRAIN, "--evaluate_every", "-1"], "evaluate_every is -1; it must be at least 0"),
    "checkpoint_every": ([*TRAIN, "--checkpoint_every", "0"], "checkpoint_every is 0; it must be at least 1"),
    "seed negative": ([*TRAIN, "--seed", "-1"], "seed is -1; it must be 0 to 4294967295"),
    "seed huge": ([*TRAIN, "--seed", "9" * 30], "it must be 0 to 4294967295"),
    "latent_dim": ([*TRAIN, "--latent_dim", "0"], "latent_dim is 0"),
    "hidden number": ([*TRAIN, "--hidden", "300"], "hidden is '300'; it must be a list such as [a, b], each"),
    "hidden text": ([*TRAIN, "--hidden", "[a]"], "it must be a list such as [a, b], each entry a whole number"),
    "hidden 0": ([*TRAIN, "--hidden", "[0]"], "must all be at least 1"),
    "hidden empty": ([*TRAIN, "--hidden", "[]"], "both need at least one unit"),
    "activation": ([*TRAIN, "--activation", "rleu"], "unknown activation 'rleu'"),
    "likelihood": ([*TRAIN, "--likelihood", "bernouli"], "unknown likelihood 'bernouli' (did you mean 'bernoulli'?)"),
    "binarisation": ([*TRAIN, "--binarisation", "fix"], "(did you mean 'fixed'?); it must be one of stochastic, fixed"),
    "compile": ([*TRAIN, "--compile"], "--compile"),
    "clip_norm text": ([*TRAIN, "--clip_norm", "x"], "clip_norm is 'x'; it must be a number or null"),
    "clip_norm": ([*TRAIN, "--clip_norm", "-1"], "clip_norm is -1.0; it must be a positive number"),
    "learning_rate": ([*TRAIN, "--learning_rate", "nan"], "learning_rate is nan; it must be a positive number"),
    "learning_rate inf": ([*TRAIN, "--learning_rate", "inf"], "learning_rate is inf; it must be a positive number"),
    "precision": ([*TRAIN, "--precision", "float16"], "unknown precision 'float16'; use one of float32, bfloat16"),
    "matmul": ([*TRAIN, "--matmul", "low"], "unknown matmul 'low'"),
    "beta": ([*TRAIN, "--method", "beta-vae", "--beta", "nan"], "beta is nan; it must be a finite number, 0 or"),
    "decay": ([*TRAIN, "--decay", "2"], "decay is 2.0"),
    "max_exponent": ([*TRAIN, "--max_exponent", "0.5"], "max_exponent is 0.5"),
    "refresh_every": ([*TRAIN, "--refresh_every", "0"], "refresh_every is 0"),
    "ramp_epochs": ([*TRAIN, "--ramp_epochs", "-1"], "ramp_epochs is -1"),
    "release_epochs": ([*TRAIN, "--release_epochs", "9"], "release_epochs is 9"),
    "warm_up_epochs": ([*TRAIN, "--method", "warm-up", "--warm_up_epochs", "-1"], "warm-up over -1.0 epochs makes"),
    "cycles": ([*TRAIN, "--method", "cyclical", "--cycles", "0"], "a cyclical schedule of 0 cycles"),
    "tracker": ([*TRAIN, "--trackers", "[tensorbord]"], "unknown tracker 'tensorbord' (did you mean 'tensorboard'?)"),
    "tracker not here": ([*TRAIN, "--trackers", "[clearml]"], "tracker 'clearml' is not installed"),
    "trackers no list": ([*TRAIN, "--trackers", "tensorboard"], "trackers is 'tensorboard'; it must be a list"),
    "compare tracker": ([*COMPARE, "--trackers", "[wandbb]"], "unknown tracker 'wandbb' (did you mean 'wandb'?)"),
    "fork": ([*TRAIN, "--fork", "nowhere.safetensors"], "nowhere.safetensors does not exist"),
    "keep_checkpoints": ([*TRAIN, "--keep_checkpoints", "x"], "keep_checkpoints is 'x'; it must be a whole number"),
    "seeds": ([*COMPARE, "--seeds", "0"], "seeds is 0; it must be at least 1"),
    "seeds beyond": ([*COMPARE, "--seed", str(2**32 - 1), "--seeds", "2"], "seed is 4294967296"),
    "workers": ([*COMPARE, "--workers", "0"], "workers is 0; it must be at least 1"),
    "workers text": ([*COMPARE, "--workers", "many"], "workers is 'many'; it must be a whole number or null"),
    "methods empty": ([*COMPARE, "--methods"], "--methods"),
    "compare release": ([*COMPARE, "--release_epochs", "-1"], "release_epochs is -1"),
    "run": (["diagnose", "nowhere"], "nowhere/config.yaml does not exist; is nowhere the folder of a run?"),
    "report": (["report", "nowhere"], "nowhere holds neither table.json nor metrics.json"),
    "theory ending": (["theory", "--out", "x.txt"], "x.txt ends in '.txt'; use .svg, .pdf or .png"),
    "verify": (["data", "verify", "minst"], "did you mean 'mnist'?"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "what"), BAD_OPTIONS.values(), ids=BAD_OPTIONS.keys())
def test_a_wrong_option_is_one_sentence_and_nothing_is_written(cli, tmp_path, monkeypatch, words, what):
    monkeypatch.chdir(tmp_path)
    trains = words[0] in ("train", "compare") and "no out" not in what and "--out is missing" not in what
    said = cli(*words, *(["--out", "out"] if trains else []))
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("lambda-vae: ")
    assert said.err.count("\n") == 1
    assert what in said.err
    assert len(said.err) < 400
    assert list(tmp_path.iterdir()) == []


BAD_CONFIGS = {
    "not YAML": (b"a: [1\n b: }", "the config file is no YAML mapping of option names to values"),
    "a list": (b"- 1\n- 2\n", "the config file is no YAML mapping of option names to values"),
    "text": (b"hello", "the config file is no YAML mapping"),
    "binary": (b"\xff\xfe\x00\x81", "the config file cannot be read"),
    "unknown key": (b"detla: 1.5\n", "unknown key 'detla' in the config file (did you mean 'delta'?)"),
    "unknown key afar": (b"qqqq: 1.5\n", "unknown key 'qqqq' in the config file;"),
    "text for a number": (b"epochs: many\n", "epochs is 'many'; it must be a whole number"),
    "a list for a number": (b"delta: [1.5]\n", "it must be a number"),
    "delta NaN": (b"delta: .nan\n", "delta is nan; it must be greater than 1"),
    "delta 1": (b"delta: 1\n", "delta is 1.0; it must be greater than 1"),
    "null": (b"epochs: null\n", "epochs is None; it must be a whole number"),
    "python object": (b"data: !!python/object/apply:os.system ['true']\n", "no YAML mapping"),
}


@pytest.mark.parametrize(("content", "what"), BAD_CONFIGS.values(), ids=BAD_CONFIGS.keys())
def test_a_wrong_config_file_is_one_sentence_and_nothing_is_written(cli, tmp_path, content, what):
    (tmp_path / "config.yaml").write_bytes(content)
    said = cli("train", "--config", tmp_path / "config.yaml", "--out", tmp_path / "out")
    assert said.code == 2
    assert said.err.startswith("lambda-vae: ")
    assert said.err.count("\n") == 1
    assert what in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize("name", ["nowhere.yaml", "."])
def test_a_config_file_that_is_no_file_is_refused(cli, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    said = cli("train", "--config", name, "--out", "out")
    assert said.code == 2
    assert said.err.startswith("lambda-vae: --config cannot be read: ")
    assert list(tmp_path.iterdir()) == []


def printed_config(cli, *words):
    said = cli("train", *words, "--print_config")
    assert said.code == 0, said.err
    return yaml.safe_load(said.out)


def test_print_config_is_taken_back(cli, tmp_path):
    words = ("--delta", 1.19, "--hidden", "[16, 8]", "--trackers", "[]", "--clip_norm", 2.5, "--out", "here")
    first = printed_config(cli, *words)
    assert first["delta"] == 1.19
    assert first["hidden"] == [16, 8]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(first))
    assert printed_config(cli, "--config", tmp_path / "config.yaml") == first


@pytest.mark.parametrize(("after", "expected"), [([], 7), (["--epochs", "9"], 9)])
def test_options_after_the_config_file_win(cli, tmp_path, after, expected):
    (tmp_path / "config.yaml").write_text("epochs: 7\ndelta: .inf\n")
    values = printed_config(cli, "--config", tmp_path / "config.yaml", *after)
    assert values["epochs"] == expected
    assert values["delta"] == float("inf")
    assert values["batch_size"] == RunConfig().train.batch_size


@pytest.mark.parametrize("name", ["1e3", "inf", "nan", "007", "null", "yes", "12:30", "[bold]x[/bold]", "a: b # c"])
def test_a_name_stays_text_on_its_way_through_a_config_file(cli, tmp_path, name):
    write_config(tmp_path / "config.yaml", RunConfig(data=name, trackers=(name,)))
    values = printed_config(cli, "--config", tmp_path / "config.yaml")
    assert (values["data"], values["trackers"]) == (name, [name])


def test_a_config_file_after_the_options_wins(cli, tmp_path):
    (tmp_path / "config.yaml").write_text("epochs: 7\n")
    assert printed_config(cli, "--epochs", "9", "--config", tmp_path / "config.yaml")["epochs"] == 7


def test_a_real_process_says_one_sentence_and_exits_with_2(tmp_path):
    words = ["train", "--data", "digits", "--delta", "1", "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-m", "lambda_vae.cli", *words], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "lambda-vae: delta is 1.0; it must be greater than 1 (inf is the plain VAE)\n"
    assert list(tmp_path.iterdir()) == []


def test_every_command_can_be_called_without_sys_argv(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["something else"])
    main(["list"])
    assert "lambda-vae" in capsys.readouterr().out
