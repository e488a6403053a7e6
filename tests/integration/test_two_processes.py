"""`train` on two processes: one result folder, and the result of one process with twice the batch size."""

# ruff: noqa: F811 - fixtures come by import

import json
import socket
import subprocess
import sys

import numpy as np
import pytest
from cli_process import TINY, bars, cli, launch, outcome, own_cache, wait_for  # noqa: F401

WORDS = ["--epochs", 4, "--checkpoint_every", 2, "--report", "false", *TINY]


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def start_two(words, folder):
    """What torchrun sets up, without its imports."""
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    return [launch(words, folder / f"log{rank}", RANK=str(rank), LOCAL_RANK=str(rank), **shared) for rank in range(2)]


def launch_two(words, folder):
    processes = start_two(words, folder)
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def logs(folder):
    return "\n".join(path.read_text() for path in sorted(folder.glob("log*")))


def test_two_processes_equal_one_with_twice_the_batch(cli, bars, tmp_path):
    two, one = tmp_path / "two", tmp_path / "one"
    assert launch_two(["train", "--data", bars, *WORDS, "--batch_size", 10, "--out", two], tmp_path) == [0, 0], logs(
        tmp_path
    )
    assert cli("train", "--data", bars, *WORDS, "--batch_size", 20, "--out", one).code == 0
    ours, expected = outcome(two), outcome(one)
    # Sums over two halves are rounded differently, and Adam magnifies that where gradients are small.
    for name, weights in expected["weights"].items():
        assert np.allclose(ours["weights"][name], weights, atol=2e-4), name
    assert np.isclose(ours["metrics"]["nll_bound"], expected["metrics"]["nll_bound"], rtol=1e-3)
    assert np.allclose(ours["history"]["loss"], expected["history"]["loss"], rtol=1e-4)
    assert np.allclose(ours["history"]["rate_q"], expected["history"]["rate_q"], rtol=1e-3)
    for name in ("std_mean", "exponent", "kl", "signal_power"):
        a, b = ours["history"]["dimensions"][name], expected["history"]["dimensions"][name]
        assert np.allclose(a, b, rtol=1e-2, atol=1e-4), name
    assert json.loads((two / "provenance.json").read_text())["options"]["processes"] == 2
    assert {path.name for path in two.iterdir()} == {path.name for path in one.iterdir()}


def launch_two_unlike(words, others, folder):
    """The same, with words of its own for the second process."""
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    processes = [
        launch(own, folder / f"log{rank}", RANK=str(rank), LOCAL_RANK=str(rank), **shared)
        for rank, own in enumerate((words, others))
    ]
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def test_processes_that_disagree_are_refused_at_the_start(bars, tmp_path):
    words = ["train", "--data", bars, *WORDS, "--batch_size", 10, "--out", tmp_path / "out", "--learning_rate"]
    assert launch_two_unlike([*words, 1e-3], [*words, 2e-3], tmp_path) == [2, 2], logs(tmp_path)
    said = "process 1 was started with another config than process 0; start all with the same command"
    assert logs(tmp_path).count(said) == 2
    assert not (tmp_path / "out").exists()


def test_two_processes_refuse_together(bars, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    assert launch_two(["train", "--data", bars, *WORDS, "--out", out], tmp_path) == [2, 2]
    assert (tmp_path / "log0").read_text().startswith("lambda-vae: ")
    assert "is not empty and holds no run" in (tmp_path / "log0").read_text()
    assert "Traceback" not in logs(tmp_path)
    assert [path.name for path in out.iterdir()] == ["thesis.tex"]


def test_two_processes_resume_a_finished_run(bars, tmp_path):
    words = ["train", "--data", bars, *WORDS, "--batch_size", 10, "--out", tmp_path / "run"]
    assert launch_two(words, tmp_path) == [0, 0], logs(tmp_path)
    before = outcome(tmp_path / "run")
    assert launch_two([*words, "--resume"], tmp_path) == [0, 0], logs(tmp_path)
    assert outcome(tmp_path / "run") == before


def test_two_killed_processes_are_gone_on_with_by_one(cli, bars, tmp_path):
    long = ["train", "--data", bars, *WORDS, "--epochs", 60]
    out, whole = tmp_path / "run", tmp_path / "whole"
    pair = start_two([*long, "--batch_size", 10, "--out", out], tmp_path)
    wait_for(lambda: list(out.glob("checkpoints/epoch-*")), pair[0])
    for process in pair:
        process.kill()
        process.join()
    assert not (out / "metrics.json").exists()
    wrong = cli(*long, "--batch_size", 10, "--out", out, "--resume")
    assert wrong.code == 2
    assert "joint_batch is 20 there and 10 here" in wrong.err
    assert "batch_size: 10\n" in (out / "config.yaml").read_text()
    assert cli(*long, "--batch_size", 20, "--out", out, "--resume").code == 0
    assert cli(*long, "--batch_size", 20, "--out", whole).code == 0
    assert (out / "config.yaml").read_text() == (whole / "config.yaml").read_text()
    ours, expected = outcome(out), outcome(whole)
    assert np.isclose(ours["metrics"]["nll_bound"], expected["metrics"]["nll_bound"], rtol=1e-2)
    assert np.allclose(ours["history"]["loss"], expected["history"]["loss"], rtol=1e-2)
    refused = cli(*long, "--batch_size", 10, "--out", out, "--resume")  # finished: now its batch size is its own
    assert refused.code == 2
    assert "its batch_size is 20, here it is 10" in refused.err


def test_two_processes_diagnose_as_one(cli, bars, tmp_path):
    run = tmp_path / "run"
    assert cli("train", "--data", bars, *WORDS, "--batch_size", 20, "--out", run).code == 0
    alone = cli("diagnose", run, "--json", tmp_path / "one.json")
    words = ["diagnose", run, "--json", tmp_path / "two.json", "--html", tmp_path / "two.html"]
    assert launch_two(words, tmp_path) == [0, 0], logs(tmp_path)
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert np.isclose(one["nll_bound"], two["nll_bound"], rtol=1e-6)
    for name in ("kl", "gradient_ratio", "signal_power", "bound_gain"):
        a, b = (np.array(record["dimensions"][name], float) for record in (one, two))
        assert np.allclose(a, b, rtol=1e-6, equal_nan=True), name
    assert (tmp_path / "log0").read_text().startswith(alone.out)  # and then where the page is
    assert (tmp_path / "two.html").exists()
    assert (tmp_path / "log1").read_text() == ""
    assert launch_two_unlike(["diagnose", run], ["diagnose", tmp_path / "none"], tmp_path) == [2, 2]
    assert "process 1: " in (tmp_path / "log0").read_text().splitlines()[-1]


@pytest.mark.slow
def test_torchrun_starts_two_processes(own_cache, bars, tmp_path):
    # On processors `accelerate launch --num_processes 2` starts one process; torchrun starts two.
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node",
        "2",
        "--master_port",
        str(free_port()),
    ]
    words = ["-m", "lambda_vae.cli", "train", "--data", bars, *WORDS, "--batch_size", 10, "--out", tmp_path / "run"]
    done = subprocess.run([*command, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert json.loads((tmp_path / "run" / "provenance.json").read_text())["options"]["processes"] == 2
    assert done.stdout.count(metrics["verdict"]) == 1  # one process speaks for both
