"""Many runs on a cluster of two machines of one core each, one of which is lost on the way; both are this machine."""

import os
import shutil
import signal
import socket
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from cli_process import cli, outcome, own_cache, wait_for  # noqa: F401 - fixtures among them
from flat_runs import changed, run_of
from safetensors.torch import load_file
from torch import equal

from lambda_vae.comparisons import CompareConfig, compare
from lambda_vae.comparisons import ray_executor as ray_engine
from lambda_vae.comparisons.executor import LOCAL
from lambda_vae.comparisons.executors import engine_named
from lambda_vae.comparisons.ray_executor import RayEngine
from lambda_vae.errors import InputError
from lambda_vae.files import read_json
from lambda_vae.paper import Reproduction, reproduce
from lambda_vae.runs import train
from lambda_vae.training import checkpoints

ray = pytest.importorskip("ray")
Queue = pytest.importorskip("ray.util.queue").Queue
NodeAffinitySchedulingStrategy = pytest.importorskip("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy

#: Ray's own: it announces what its next versions do with accelerators, and leaves files to the collector.
ON_RAY = pytest.mark.filterwarnings("ignore::FutureWarning:ray", "ignore::ResourceWarning")

BASE = run_of(
    epochs=6,
    hidden=(16,),
    latent_dim=3,
    batch_size=100,
    iw_samples=4,
    evaluate_every=0,
    checkpoint_every=1,
)


def test_without_ray_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"^ray is not installed; pip install 'lambda-vae\[ray\]'$"):
        compare(BASE, CompareConfig(), tmp_path / "out", engine=RayEngine())
    assert not (tmp_path / "out").exists()


def test_without_a_cluster_one_sentence_says_how_to_start_one(tmp_path, cli):  # noqa: F811
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    words = ["compare", "--data", "digits", "--out", tmp_path / "out", "--engine", "ray"]
    said = cli(*words, "--ray_address", f"127.0.0.1:{port}")
    assert said.code == 2
    assert f"there is no Ray cluster at 127.0.0.1:{port}" in said.err
    assert "start one with `ray start --head`" in said.err
    said = cli(*words, "--ray_address", "nowhere")
    assert "the address of the Ray cluster is 'nowhere'; give HOST:PORT, auto or local" in said.err
    assert not (tmp_path / "out").exists()


def test_none_is_started_silently(monkeypatch):
    asked = []

    def init(address, **_settings):
        asked.append(address)
        raise ConnectionError("Could not find any running Ray instance. Please\nspecify")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(InputError, match=r"no Ray cluster here \(Could not find .*; start one with `ray start --head`"):
        RayEngine().ready().__enter__()
    monkeypatch.setenv("RAY_ADDRESS", "local")
    with pytest.raises(InputError):
        RayEngine().ready().__enter__()
    assert asked == ["auto", "local"]


def test_engines_go_by_their_names():
    assert engine_named("local") == LOCAL
    assert engine_named("ray", "h:1") == RayEngine("h:1")
    with pytest.raises(InputError, match=r"unknown engine 'rey' \(did you mean 'ray'\?\); the engines are local, ray"):
        engine_named("rey")
    with pytest.raises(InputError, match="`ray_address=h:1` is for `engine=ray`"):
        engine_named("local", "h:1")


class Handed:
    """An engine that runs nothing and remembers what it was handed."""

    def __init__(self):
        self.names = []

    @contextmanager
    def ready(self):
        yield lambda jobs, _workers, _show: self.names.extend(job.name for job in jobs)


def test_reproduce_hands_over_the_shortest_runs_too_where_another_engine_is_asked_for(tmp_path, own_cache):  # noqa: F811
    engine = Handed()
    choice = Reproduction("table1", "digits", "smoke", only=("vae-200",))
    rows = reproduce(choice, tmp_path / "out", engine=engine)
    assert [row["status"] for row in rows] == ["waiting"]
    assert engine.names == [row["run"] for row in rows]


@pytest.fixture(scope="module")
def cluster(own_cache):  # noqa: F811
    """A machine of one core, to which others can be added; Ray reports to nobody."""
    from ray.cluster_utils import Cluster

    machine = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    # A short path: Ray puts sockets there, whose names may have no more than 107 bytes.
    with TemporaryDirectory(dir="/tmp") as temporary, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("TMPDIR", temporary)
        both = Cluster(initialize_head=True, head_node_args={**machine, "include_dashboard": False})
        try:
            yield SimpleNamespace(
                engine=RayEngine(both.address),
                head=both.head_node.node_id,
                add=lambda: both.add_node(**machine),
                remove=lambda node: both.remove_node(node, allow_graceful=False),
                temporary=Path(temporary),
            )
        finally:
            both.shutdown()


@pytest.fixture
def apart(monkeypatch):
    """No machine sees the folder."""

    @contextmanager
    def unseen(_runs):
        yield ".unseen", ""

    monkeypatch.setattr(ray_engine, "_marked", unseen)


@pytest.fixture
def connected(cluster):
    """A connection of the test's own, which the engine leaves alone; `release()` frees the head's core."""
    ray.init(cluster.engine.address, log_to_driver=False, logging_level="ERROR")
    here = NodeAffinitySchedulingStrategy(cluster.head, soft=False)
    try:
        blocker = Queue(actor_options={"num_cpus": 1, "scheduling_strategy": here})
        yield lambda: blocker.shutdown(force=True)
    finally:
        ray.shutdown()


def reference(config, folder):
    """The run as the local engine's process trains it, in this one."""
    train(config, folder)
    return folder


def same(run, expected):
    weights, others = load_file(run / "model.safetensors"), load_file(expected / "model.safetensors")
    assert weights.keys() == others.keys()
    assert all(equal(weights[name], others[name]) for name in others)
    assert outcome(run) == outcome(expected)


VAE = changed(BASE, method="vae")


@pytest.mark.slow
@ON_RAY
def test_runs_come_home_as_they_are_here_forks_and_failures_among_them(cluster, apart, tmp_path):
    node, out = cluster.add(), tmp_path / "out"
    choice = CompareConfig(("lambda-vae", "beta-vae:beta=1e38"), (1.5,), (0, 2))
    rows = {row["run"]: row for row in compare(BASE, choice, out, engine=cluster.engine)}
    cluster.remove(node)
    assert not ray.is_initialized()
    assert {name: row["status"] for name, row in rows.items()} == {
        "lambda-vae-delta1.5-seed0": "done",
        "lambda-vae-delta1.5-release2-seed0": "done",
        "beta-vae-beta1e+38-seed0": "failed",
    }
    assert "diverged" in rows["beta-vae-beta1e+38-seed0"]["failure"]
    log = (out / "runs" / "beta-vae-beta1e+38-seed0.log").read_text()
    assert log.count("diverged") == 1
    for release, name in ((0, "lambda-vae-delta1.5-seed0"), (2, "lambda-vae-delta1.5-release2-seed0")):
        config = changed(BASE, method="lambda-vae", delta=1.5, release_epochs=release)
        same(out / "runs" / name, reference(config, tmp_path / name))
    command = read_json(out / "runs" / "lambda-vae-delta1.5-release2-seed0" / "provenance.json")["command"]
    assert command.startswith("lambda-vae train --config ")
    assert "--fork" in command


@pytest.mark.slow
@pytest.mark.parametrize("where", ["shared", "apart"])
@ON_RAY
def test_a_lost_machine_s_run_starts_again(cluster, connected, tmp_path, where, request):
    if where == "apart":
        request.getfixturevalue("apart")
    node, base, out = cluster.add(), changed(BASE, epochs=40), tmp_path / "out"
    run, begun = out / "runs" / "vae-seed0", []

    def lose():
        place, pattern = (run, "progress.json") if where == "shared" else (cluster.temporary, "*/*/progress.json")
        wait_for(lambda: any(place.glob(pattern)))
        begun.append(not (run / "metrics.json").exists())
        cluster.remove(node)
        connected()

    thread = threading.Thread(target=lose, daemon=True)
    thread.start()
    rows = compare(base, CompareConfig(("vae",)), out, engine=cluster.engine)
    thread.join()
    assert begun == [True]  # on the only machine with a core to spare, which is gone
    assert [row["status"] for row in rows] == ["done"]
    same(run, reference(changed(VAE, epochs=40), tmp_path / "here"))
    assert not list((out / "runs").glob(".*"))


@pytest.mark.slow
@ON_RAY
def test_an_interrupted_run_is_finished_by_either_engine(cluster, tmp_path, request):
    base, out = changed(BASE, epochs=40), tmp_path / "out"
    config, run = changed(VAE, epochs=40), out / "runs" / "vae-seed0"

    def interrupt():
        wait_for(lambda: checkpoints.latest(run / "checkpoints"))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        compare(base, CompareConfig(("vae",)), out, engine=cluster.engine)
    thread.join()
    assert checkpoints.latest(run / "checkpoints")
    assert not (run / "metrics.json").exists()
    assert not (out / "runs" / "vae-seed0.failure.json").exists()  # to be resumed is no failure
    assert [row["status"] for row in read_json(out / "table.json")] == ["waiting"]

    expected = reference(config, tmp_path / "here")
    shutil.copytree(run, tmp_path / "copy")
    train(config, tmp_path / "copy", resume=True)
    same(tmp_path / "copy", expected)

    request.getfixturevalue("apart")  # the checkpoint goes along
    compare(base, CompareConfig(("vae",)), out, resume=True, engine=cluster.engine)
    same(run, expected)
